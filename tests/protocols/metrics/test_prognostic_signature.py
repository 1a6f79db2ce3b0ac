"""Signatures: planted genes found, null data exposed, nothing taken from held-out patients, same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.metrics.concordance import Bool, Float, harrell
from protocols.metrics.prognostic_signature import Signature, fit_signature, out_of_fold_risks, well_predicted

PLANTED = {"g0": 0.8, "g1": -0.8, "g2": 0.6}


def cohort(
    n: int = 300, genes: int = 60, effects: dict[str, float] | None = None, seed: int = 0
) -> tuple[pd.DataFrame, Float, Bool]:
    """log2-like expression of independent genes; exponential times, about 60 % events."""
    rng = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(genes)]
    table = pd.DataFrame(8 + 2 * rng.normal(size=(n, genes)), columns=names, index=[f"p{i:03d}" for i in range(n)])
    hazard = sum((b * (table[g].to_numpy() - 8) / 2 for g, b in (effects or {}).items()), np.zeros(n))
    time, end = rng.exponential(np.exp(-hazard)), rng.exponential(1.5, n)
    return table, np.minimum(time, end) + 1e-3, time <= end


def same(one: Signature, other: Signature) -> bool:
    return (
        one.genes == other.genes
        and np.array_equal(one.coefficients, other.coefficients)
        and np.array_equal(one.curve.mean, other.curve.mean)
        and one.median_risk == other.median_risk
    )


@pytest.mark.parametrize("rule", ["min", "one_standard_error"])
def test_planted_genes_are_recovered(rule: str) -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0, rule=rule)  # type: ignore[arg-type]
    chosen = dict(zip(found.genes, found.coefficients * found.sds, strict=True))
    assert set(PLANTED) <= set(chosen)
    for gene, effect in PLANTED.items():
        assert 0.3 < chosen[gene] / effect < 1.05  # shrunken, of the right sign
    assert max(abs(b) for gene, b in chosen.items() if gene not in PLANTED) < 0.2
    fresh, time, event = cohort(effects=PLANTED, seed=1)
    assert (harrell(time, event, found.risk(fresh)).value or 0) > 0.7
    assert len(found.genes) < (20 if rule == "min" else 8)


def test_null_data_look_prognostic_where_they_were_fitted_and_nowhere_else() -> None:
    """The trap: of six null cohorts, those with a gene chosen have C far above 1/2 on their own patients."""
    inside, outside = [], []
    for seed in range(10, 16):
        x, time, event = cohort(150, 60, seed=seed)
        found = fit_signature(x, time, event, seed=0)
        if not found.genes:
            continue
        nested = out_of_fold_risks(x, time, event, seed=0)
        folds = [nested.fold == number for number in range(5)]
        risk = nested.risks["measured"]
        inside.append(harrell(time, event, found.risk(x)).value)
        outside.append(np.mean([harrell(time[at], event[at], risk[at]).value or 0.5 for at in folds]))
    assert len(inside) >= 2
    assert np.mean(inside) > 0.58  # type: ignore[arg-type]
    assert abs(np.mean(outside) - 0.5) < 0.04


def test_rows_and_their_order_do_not_show() -> None:
    x, time, event = cohort(effects=PLANTED)
    first = fit_signature(x, time, event, seed=3)
    nested = out_of_fold_risks(x, time, event, seed=3)
    at = np.random.default_rng(0).permutation(len(x))
    assert same(first, fit_signature(x.iloc[at], time[at], event[at], seed=3))
    assert same(first, fit_signature(x, time, event, seed=3))
    again = out_of_fold_risks(x.iloc[at], time[at], event[at], seed=3)
    assert np.array_equal(again.fold, nested.fold[at])
    assert np.array_equal(again.risks["measured"], nested.risks["measured"][at])
    assert not np.array_equal(first.curve.mean, fit_signature(x, time, event, seed=4).curve.mean)


def test_units_of_a_gene_matter_only_without_standardising() -> None:
    x, time, event = cohort(effects=PLANTED)
    scaled = x * np.where(x.columns == "g0", 100.0, 1.0)
    first, again = fit_signature(x, time, event, seed=0), fit_signature(scaled, time, event, seed=0)
    assert first.genes == again.genes
    np.testing.assert_allclose(first.risk(x), again.risk(scaled), atol=1e-8)
    raw, moved = (fit_signature(table, time, event, seed=0, standardise=False) for table in (x, scaled))
    assert np.abs(raw.risk(x) - moved.risk(scaled)).max() > 0.01


def test_risk_is_equation_1_less_a_constant() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    equation = x[list(found.genes)].to_numpy() @ found.coefficients
    gap = equation - found.risk(x)
    np.testing.assert_allclose(gap, gap[0])
    assert found.median_risk == pytest.approx(np.median(found.risk(x)))
    assert found.patients == 300
    assert found.candidates == 60


def test_missing_genes_count_at_the_fitted_mean_up_to_half() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    lost = list(found.genes[: len(found.genes) // 2])
    other = x.drop(columns=lost)
    assert found.missing(other) == tuple(lost)
    filled = x.copy()
    filled[lost] = found.means[: len(lost)]
    np.testing.assert_allclose(found.risk(other), found.risk(filled), atol=1e-12)
    most = list(found.genes[: len(found.genes) // 2 + 1])
    with pytest.raises(UserError, match=f"{len(most)} of {len(found.genes)} signature genes are missing, first g0"):
        found.risk(x.drop(columns=most), where="METABRIC")


def test_own_scale_undoes_another_platforms_units() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x, time, event, seed=0)
    platform = x * np.linspace(0.2, 5, 60) - 3
    np.testing.assert_allclose(found.risk(platform, own_scale=True), found.risk(x), atol=1e-10)
    assert np.abs(found.risk(platform) - found.risk(x)).max() > 0.1
    flat = x.assign(**{found.genes[0]: 1.0})
    assert np.isfinite(found.risk(flat, own_scale=True)).all()


def test_no_gene_is_a_finding() -> None:
    x, time, event = cohort(60, 5, seed=0)
    found = fit_signature(x, time, event, seed=0, rule="one_standard_error")
    assert found.genes == ()
    assert found.curve.genes[found.curve.chosen] == 0
    assert not found.risk(x).any()
    assert not found.risk(x[[]]).any()


def test_constant_genes_are_named_and_never_chosen() -> None:
    x, time, event = cohort(effects=PLANTED)
    found = fit_signature(x.assign(flat=0.1 + 0.2), time, event, seed=0)
    assert found.constant == ("flat",)
    assert same(found, fit_signature(x, time, event, seed=0))


def test_held_out_patients_leave_no_trace() -> None:
    """Neither expression nor outcome of a fold changes the signature that judges it."""
    x, time, event = cohort(effects=PLANTED)
    nested = out_of_fold_risks(x, time, event, seed=0)
    held = nested.fold == 2
    rng = np.random.default_rng(5)
    changed, later = x.copy(), time.copy()
    changed.loc[held] = rng.normal(size=(int(held.sum()), 60))
    later[held] = rng.permutation(time[held]) * 3
    again = out_of_fold_risks(changed, later, event, seed=0)
    assert same(nested.signatures[2], again.signatures[2])
    assert not same(nested.signatures[0], again.signatures[0])
    np.testing.assert_array_equal(nested.risks["measured"][held], nested.signatures[2].risk(x[held]))


def test_genes_are_filtered_among_fitting_patients() -> None:
    """A gene that is well predicted on one fold's patients alone must not enter by way of that fold."""
    x, time, event = cohort(effects=PLANTED)
    rng = np.random.default_rng(99)
    predicted = pd.DataFrame(rng.normal(size=x.shape), columns=x.columns, index=x.index)
    for gene in PLANTED:
        predicted[gene] = x[gene] + rng.normal(size=300)
    seen: list[pd.Index[str]] = []
    choose = well_predicted(predicted, top=10)

    def spy(table: pd.DataFrame) -> list[str]:
        seen.append(table.index)
        return list(choose(table))

    nested = out_of_fold_risks(x, time, event, seed=0, choose=spy, others={"predicted": predicted})
    for number, (index, signature) in enumerate(zip(seen, nested.signatures, strict=True)):
        assert set(index) == set(x.index[nested.fold != number])
        assert set(PLANTED) <= set(signature.genes)
        assert signature.candidates == 10
    risk = {name: harrell(time, event, values).value or 0 for name, values in nested.risks.items()}
    assert risk["measured"] > risk["predicted"] > 0.65
    assert choose(x)[:3] == ["g0", "g1", "g2"]
    with pytest.raises(UserError, match="r > 0"):
        well_predicted(-x)(x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, t, e: (x.assign(g1=np.nan), t, e), "300 values missing or infinite, first gene g1 of patient p000"),
        (lambda x, t, e: (x.assign(g1="high"), t, e), "values that are no numbers"),
        (lambda x, t, e: (x.rename(columns={"g1": "g0"}), t, e), "gene g0 twice"),
        (lambda x, t, e: (x.rename(index={"p001": "p000"}), t, e), "patient p000 twice"),
        (lambda x, t, e: (x, t * 0, e), "not above zero"),
        (lambda x, t, e: (x, t[1:], e), "299 times"),
        (lambda x, t, e: (x, t, np.arange(300) < 9), "9 events in 5 folds"),
        (lambda x, t, e: (x * 0, t, e), "no gene varies"),
    ],
)
def test_faults_of_the_tables_are_one_line(change: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        fit_signature(*change(*cohort()), seed=0)  # type: ignore[operator]


def test_an_unknown_rule_and_strange_tables_are_refused() -> None:
    x, time, event = cohort()
    with pytest.raises(UserError, match="one_standard_error"):
        fit_signature(x, time, event, seed=0, rule="one_standard_eror")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="other rows"):
        out_of_fold_risks(x, time, event, seed=0, others={"predicted": x.iloc[1:]})


def test_import_stays_light() -> None:
    heavy = "('torch', 'sklearn', 'sksurv', 'lifelines')"
    code = f"import sys, protocols.metrics.signature_evaluation; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == "[]"
