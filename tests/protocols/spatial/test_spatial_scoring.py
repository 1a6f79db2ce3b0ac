"""Scores of maps: controls in order, what the Earth Mover's Distance alone would say, and undefined values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from protocols.errors import UserError
from protocols.metrics.spatial_maps import TileGrid, neighbour_mean, percentile_scores
from protocols.seeds import generator
from protocols.spatial.score import ScoredSection, SpatialScores, score_sections

SIDE, GENES = 16, 8
NAMES = tuple(f"G{k}" for k in range(GENES))
MODULES = {gene: (("A", "B", "C")[place % 3],) for place, gene in enumerate(NAMES)}


def disc(side: int = SIDE) -> TileGrid:
    down, across = np.indices((side, side)) - (side - 1) / 2
    row, column = np.nonzero(down**2 + across**2 <= side * side / 4)
    return TileGrid(row, column)


def smooth(grid: TileGrid, *names: object, genes: int = GENES, sigma: float = 1.5) -> np.ndarray:
    noise = generator(0, "map", *names).standard_normal((genes, *grid.shape))
    values: np.ndarray = gaussian_filter(noise, (0, sigma, sigma))[:, grid.row, grid.column].T
    return values / values.std(axis=0)


def section(name: str, kind: str, patient: str = "") -> ScoredSection:
    """The same truth for every kind of prediction."""
    grid = disc()
    truth = smooth(grid, name, "truth")
    rng = generator(0, name, "tiles")
    predicted = {
        "neighbour": lambda: neighbour_mean(truth, grid),
        "oracle": lambda: truth + 1.2 * smooth(grid, name, "what morphology does not show"),
        "constant": lambda: np.full(truth.shape, 3.0),
        "shuffled": lambda: rng.permutation(truth),
        "unrelated": lambda: smooth(grid, name, "another map"),
        "truth": lambda: truth,
    }[kind]()
    return ScoredSection(
        name=name,
        patient=patient or f"P-{name}",
        grid=grid,
        genes=NAMES,
        common=np.arange(GENES) < GENES - 2,
        own=np.arange(GENES) > 2,
        truth=truth,
        predicted=predicted,
    )


def scored(kind: str, **more: object) -> SpatialScores:
    return score_sections([section(name, kind) for name in "abc"], seed=0, modules=MODULES, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def every() -> dict[str, SpatialScores]:
    return {kind: scored(kind) for kind in ("truth", "neighbour", "oracle", "unrelated", "shuffled", "constant")}


def test_controls_stand_in_order(every: dict[str, SpatialScores]) -> None:
    r = {kind: found.summary["pearson_of_maps"] for kind, found in every.items()}
    assert r["truth"] == pytest.approx(1.0)
    assert 1 > (r["neighbour"] or 0) > (r["oracle"] or 0) + 0.1 > 0.4
    assert abs(r["unrelated"] or 0) < 0.2
    assert abs(r["shuffled"] or 0) < 0.1
    assert r["constant"] == pytest.approx(0.0, abs=1e-12)
    beyond = {kind: found.summary["beyond_trend"] or 0 for kind, found in every.items()}
    assert beyond["neighbour"] == beyond["truth"] == 1.0
    assert beyond["oracle"] > 0.8
    assert max(beyond["unrelated"], beyond["shuffled"]) < 0.25
    assert beyond["constant"] == 0.0
    kappas = {kind: found.summary["subtype_kappa"] for kind, found in every.items()}
    assert kappas["truth"] == 1.0
    assert 1 > (kappas["neighbour"] or 0) > (kappas["oracle"] or 0) > 0.2
    assert kappas["constant"] == 0.0, "a constant map gives no tile a subtype, and is not left out for it"


def test_a_constant_map_is_near_to_everything(every: dict[str, SpatialScores]) -> None:
    """Why maps are not ranked by the Earth Mover's Distance: saying nothing beats every map that is not the truth's."""
    distance = {kind: found.summary["emd_median"] or 0.0 for kind, found in every.items()}
    print({kind: round(value, 4) for kind, value in distance.items()})
    assert distance["truth"] == 0.0
    assert distance["neighbour"] < distance["oracle"]
    assert distance["constant"] < 0.8 * distance["unrelated"]
    assert distance["constant"] < 1.4 * distance["oracle"], "and hardly farther than a good map"
    assert distance["constant"] == pytest.approx(distance["shuffled"], rel=0.25)
    assert (every["constant"].summary["ssim_of_maps"] or 0) < 0.2 < (every["oracle"].summary["ssim_of_maps"] or 0)


def test_what_is_counted_and_kept(every: dict[str, SpatialScores]) -> None:
    found = every["constant"]
    assert found.counts == {
        "sections": 3,
        "tiles": 3 * len(disc().row),
        "genes": GENES - 2,
        "constant_maps": 3 * GENES,
    }
    assert every["oracle"].counts["constant_maps"] == 0
    units = every["oracle"].units
    assert len(units) == 3 * GENES
    common = units[units["common"]]
    assert every["oracle"].summary["pearson_of_maps"] == pytest.approx(common["pearson"].mean())
    by_section = common.groupby("section")["emd"].median()
    assert every["oracle"].summary["emd_median"] == pytest.approx(by_section.mean())
    assert every["oracle"].bulk["sections"] == pytest.approx(by_section.to_dict())
    own = units[units["own"]].groupby("section")["emd"].median().mean()
    assert every["oracle"].summary["emd_own_genes"] == pytest.approx(own)
    assert [row["gene"] for row in every["oracle"].per_gene] == list(NAMES[: GENES - 2])
    truth, predicted = every["neighbour"].maps["a"]
    one = section("a", "neighbour")
    np.testing.assert_array_equal(truth, percentile_scores(one.truth))
    np.testing.assert_array_equal(predicted, percentile_scores(one.predicted))


def test_monotone_changes_of_a_map_change_nothing() -> None:
    """Predictions are log-expression, truths z-scores: both become percentiles first."""
    plain = [section(name, "oracle") for name in "ab"]
    bent = [replace(one, predicted=np.exp(one.predicted) * 40, truth=one.truth * 3 - 8) for one in plain]
    one, two = (score_sections(parts, seed=0) for parts in (plain, bent))
    assert one.summary == pytest.approx(two.summary)
    assert one.per_patient == pytest.approx(two.per_patient)


def test_patients_are_the_units_of_the_interval() -> None:
    sections = [section("a", "oracle", "P"), section("b", "oracle", "P"), section("c", "oracle", "Q")]
    found = score_sections(sections, seed=0)
    assert set(found.per_patient) == {"P", "Q"}
    units = found.units[found.units["common"]]
    of_p = units[units["patient"] == "P"]["pearson"].mean()
    assert found.per_patient["P"] == pytest.approx(of_p)
    assert found.headline.mean == pytest.approx((of_p + found.per_patient["Q"]) / 2)
    assert found.headline.n_patients == 2
    alone = score_sections(sections[:2], seed=0).headline
    assert (alone.low, alone.high, alone.n_patients) == (None, None, 1)


def test_co_expression_of_modules(every: dict[str, SpatialScores]) -> None:
    found = every["oracle"].bulk["co_expression"]
    assert found["genes"] == list(NAMES)
    assert found["modules"]["G1"] == ["B"]
    truth, model = np.array(found["truth"]), np.array(found["model"])
    np.testing.assert_array_equal(truth, truth.T)
    assert (np.diag(truth) == 1).all()
    by_hand = np.mean(
        [np.corrcoef(percentile_scores(section(name, "truth").truth).T) for name in "abc"],
        axis=0,
    )
    np.testing.assert_allclose(truth, by_hand, atol=0.006)
    assert (np.diag(model) == 1).all()
    assert not np.diag(np.array(every["constant"].bulk["co_expression"]["model"])).any(), "constant maps: 0"
    assert every["truth"].bulk["co_expression"]["model"] == found["truth"]
    assert score_sections([section("a", "truth")], seed=0).bulk["co_expression"] == {}


def test_genes_that_a_section_lacks_are_left_out_of_co_expression_alone() -> None:
    whole, part = section("a", "truth"), section("b", "truth")
    fewer = replace(
        part,
        genes=NAMES[1:],
        **{key: getattr(part, key)[1:] for key in ("common", "own")},
        **{key: getattr(part, key)[:, 1:] for key in ("truth", "predicted")},
    )
    found = score_sections([whole, fewer], seed=0, modules=MODULES)
    assert found.bulk["co_expression"]["genes"] == list(NAMES[1:])
    assert found.counts["genes"] == GENES - 2
    assert len(found.units) == 2 * GENES - 1


def test_a_model_without_genes_of_its_own_has_no_such_distance() -> None:
    one = replace(section("a", "oracle"), own=np.zeros(GENES, bool))
    assert score_sections([one], seed=0).summary["emd_own_genes"] is None


def test_no_gene_to_score_is_no_number() -> None:
    one = replace(section("a", "oracle"), common=np.zeros(GENES, bool))
    found = score_sections([one], seed=0)
    assert (found.headline.mean, found.headline.n_patients) == (None, 0)
    assert found.summary["pearson_of_maps"] is None
    assert found.summary["beyond_trend"] is None
    assert found.per_gene == []


def test_mistakes_are_one_clear_line() -> None:
    with pytest.raises(UserError, match="no section"):
        score_sections([], seed=0)
    hole = section("a", "oracle")
    hole.predicted[3, 2] = np.nan
    with pytest.raises(UserError):
        score_sections([hole], seed=0)
