"""``slide2omics signature`` from files to files, its refusals, and real patients."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.metrics.signature_evaluation import FITTED_HERE
from protocols.readers.mcat_tables import read_mcat
from suite.tools.signature import (
    OUT_OF_FOLD,
    PREDICTED,
    PREDICTED_FITTED_HERE,
    PREDICTED_OUT_OF_FOLD,
    Options,
    SignatureRun,
    judge,
    run_signature,
)
from suite.tools.signature_inputs import CohortFiles, Patients, read_genes, read_patients
from tests.cohorts import real_data
from tests.protocols.metrics.test_prognostic_signature import PLANTED, cohort


def written(folder: Path, name: str, seed: int, n: int = 200) -> CohortFiles:
    """A cohort's files, with linear expression, follow-up in days and two covariates."""
    x, time, event = cohort(n, 30, PLANTED, seed)
    x.index = pd.Index([f"{name}-{patient}" for patient in x.index], name="patient")
    rng = np.random.default_rng(seed + 1000)
    (2**x - 1).clip(lower=0).reset_index().to_parquet(folder / f"{name}.parquet", index=False)
    outcome = pd.DataFrame({"time": time * 1000, "event": event.astype(int), "unit": "days"}, index=x.index)
    outcome.iloc[1:].to_csv(folder / f"{name}_outcome.csv")
    covariates = pd.DataFrame({"age": rng.normal(60, 8, n), "subtype": rng.choice(["A", "B"], n)}, index=x.index)
    covariates.to_csv(folder / f"{name}_covariates.csv")
    return CohortFiles(
        name, folder / f"{name}.parquet", folder / f"{name}_outcome.csv", folder / f"{name}_covariates.csv", log2=True
    )


def predictions(files: CohortFiles, path: Path, noise: float = 3.0) -> Path:
    """Noisy predictions on the log scale of all but the last five patients."""
    x = np.log2(pd.read_parquet(files.expression).set_index("patient") + 1)
    rng = np.random.default_rng(77)
    (x + rng.normal(0, noise, x.shape)).iloc[:-5].to_csv(path)
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[SignatureRun, Path]:
    folder = tmp_path_factory.mktemp("signature")
    return whole_run(folder), folder / "out"


def whole_run(folder: Path) -> SignatureRun:
    discovery, other = written(folder, "TCGA", 0), written(folder, "METABRIC", 1)
    genes = folder / "protein_coding.txt"
    genes.write_text("# protein-coding\n" + "\n".join(f"g{i}" for i in range(25)) + "\nUNKNOWN\n")
    return run_signature(
        discovery,
        folder / "out",
        candidates=genes,
        predicted=predictions(discovery, folder / "predicted.csv"),
        external=[other],
        options=Options(seed=1, top=20, own_scale=("METABRIC",)),
    )


def test_honest_rows_come_first_and_the_trap_has_its_name(ran: tuple[SignatureRun, Path]) -> None:
    found, _ = ran
    names = [one.name for one in found.evaluations]
    assert names == [OUT_OF_FOLD, FITTED_HERE, PREDICTED_OUT_OF_FOLD, PREDICTED_FITTED_HERE, "METABRIC"]
    assert [one.fitted_here for one in found.evaluations] == [False, True, False, True, False]
    c = {one.name: one.c_index or 0 for one in found.evaluations}
    assert c[FITTED_HERE] > c[OUT_OF_FOLD] > c[PREDICTED_OUT_OF_FOLD] > 0.5
    assert c["METABRIC"] > 0.65
    assert found.evaluations[0].n == 194  # one without outcome, five without predictions
    assert found.signature.candidates <= 20
    assert set(found.signature.genes) <= {f"g{i}" for i in range(25)}
    adjusted = found.evaluations[-1].adjusted
    assert [ratio.name for ratio in adjusted][:2] == ["risk per SD", "age"]
    assert "25 of 26 candidate genes are in the expression table" in found.notes
    assert "TCGA: 1 patients without outcome" in found.notes
    assert any(note.startswith("5 patients without predicted expression") for note in found.notes)


def test_files_say_what_was_found(ran: tuple[SignatureRun, Path]) -> None:
    found, out = ran
    genes = pd.read_csv(out / "signature.csv")
    assert sorted(genes["gene"]) == sorted(found.signature.genes)
    by_gene = dict(zip(found.signature.genes, found.signature.coefficients, strict=True))
    np.testing.assert_allclose(genes["coefficient"], [by_gene[gene] for gene in genes["gene"]])
    np.testing.assert_allclose(np.log(genes["hazard_ratio_per_sd"]), genes["coefficient"] * genes["fitted_sd"])
    record = json.loads((out / "evaluation.json").read_text())
    assert [one["name"] for one in record["evaluations"]] == [one.name for one in found.evaluations]
    assert record["settings"]["own_scale"] == ["METABRIC"]
    assert record["evaluations"][0]["per_sd"]["n"] == 194
    page = (out / "signature.md").read_text()
    assert f"| {FITTED_HERE} | 194 |" in page
    assert "optimistic" in page
    assert "nan" not in page
    risks = pd.read_csv(out / "out_of_fold.csv")
    assert list(risks.columns)[-2:] == ["risk (measured)", f"risk ({PREDICTED})"]
    np.testing.assert_array_equal(risks["fold"], found.out_of_fold.fold)
    figures = sorted(path.name for path in out.glob("km_*"))
    assert len(figures) == 10
    assert "km_discovery_fitted_on_these_patients.svg" in figures
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(ran: tuple[SignatureRun, Path], tmp_path: Path) -> None:
    _, first = ran
    whole_run(tmp_path)
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name


def in_memory(seed: int = 0, effects: dict[str, float] | None = None, name: str = "d", n: int = 120) -> Patients:
    x, time, event = cohort(n, 10, effects, seed)
    x.index = pd.Index([f"{name}-{patient}" for patient in x.index])
    return Patients(name, x, time, event, None, ())


def test_no_gene_still_makes_a_whole_report(tmp_path: Path) -> None:
    files = written(tmp_path, "null", 0, 80)
    outcome = pd.read_csv(files.outcome)
    outcome["time"] = np.random.default_rng(5).permutation(outcome["time"])
    outcome.to_csv(files.outcome, index=False)
    found = run_signature(files, tmp_path / "out", options=Options(rule="one_standard_error"))
    assert found.signature.genes == ()
    page = (tmp_path / "out" / "signature.md").read_text()
    assert "LASSO-Cox chose 0 of 30 genes" in page
    assert "no gene was chosen: the risk is constant" in page
    assert f"| {FITTED_HERE} | 79 |" in page
    assert "| none | | |" in page
    assert pd.read_csv(tmp_path / "out" / "signature.csv").empty
    assert not list((tmp_path / "out").glob(f"km_{FITTED_HERE.split()[0]}_fitted*"))


def test_refusals(tmp_path: Path) -> None:
    discovery = in_memory()
    with pytest.raises(UserError, match="120 of its patients are fitted on"):
        judge(discovery, external=[replace(discovery, name="other")])
    with pytest.raises(UserError, match="two cohorts of one name"):
        judge(discovery, external=[in_memory(1, name=OUT_OF_FOLD)])
    with pytest.raises(UserError, match="did you mean 'METABRIC'"):
        judge(discovery, external=[in_memory(1, name="METABRIC")], options=Options(own_scale=("METABIRC",)))
    with pytest.raises(UserError, match="unknown cohort 'predicted expression'"):
        judge(discovery, options=Options(own_scale=(PREDICTED,)))
    with pytest.raises(UserError, match="none of the candidate genes"):
        judge(discovery, candidates=["TP53"])
    with pytest.raises(UserError, match="both measured and predicted"):
        judge(discovery, predicted=in_memory(1, name="e").expression)
    with pytest.raises(UserError, match="unknown rule 'mim'"):
        judge(discovery, options=Options(rule="mim"))
    empty = tmp_path / "genes.txt"
    empty.write_text("# nothing\n\n")
    with pytest.raises(UserError, match="no gene"):
        read_genes(empty)
    with pytest.raises(UserError, match="no such list"):
        read_genes(tmp_path / "absent.txt")


def test_faults_of_files(tmp_path: Path) -> None:
    files = written(tmp_path, "c", 0, 60)
    with pytest.raises(UserError, match="no such table"):
        read_patients(replace(files, expression=tmp_path / "absent.parquet"))
    table = pd.read_parquet(files.expression)
    faults = {
        "twice.csv": (pd.concat([table, table.iloc[:1]]), "patient c-p000 twice"),
        "text.csv": (table.assign(stage="II"), "column 'stage' is no number"),
        "strangers.csv": (table.assign(patient=[f"x{i}" for i in range(60)]), "no patient has both"),
        "below.csv": (table.assign(g0=-1.0), "values below zero"),
        "nameless.csv": (table.rename(columns={"patient": "case"}), "no column 'patient'"),
    }
    for name, (fault, says) in faults.items():
        fault.to_csv(tmp_path / name, index=False)
        with pytest.raises(UserError, match=says):
            read_patients(replace(files, expression=tmp_path / name))


def test_a_fold_without_the_planted_signal_in_predictions_is_not_rescued_by_the_fit() -> None:
    """Predictions of noise alone: the measured signature holds, the predicted one does not."""
    discovery = in_memory(0, PLANTED, n=300)
    rng = np.random.default_rng(3)
    noise = pd.DataFrame(rng.normal(8, 2, discovery.expression.shape), discovery.expression.index)
    noise.columns = discovery.expression.columns
    noise += 0.05 * discovery.expression
    c = {one.name: one.c_index or 0 for one in judge(discovery, predicted=noise).evaluations}
    assert c[FITTED_HERE] > 0.65
    assert abs(c[PREDICTED_OUT_OF_FOLD] - 0.5) < 0.08


@pytest.mark.realdata
def test_breast_cancer_patients(tmp_path: Path) -> None:
    """hist2RNA's PAM50 genes and PORPOISE's outcomes of 956 patients: 0.66 where it was fitted, 0.57 where not."""
    expression = pd.read_csv(real_data("hist2rna") / "gene_expression" / "pam50_gene_expression.csv")
    expression.rename(columns={"PATIENT_ID": "patient"}).to_csv(tmp_path / "expression.csv", index=False)
    table = read_mcat(
        "brca", real_data("porpoise"), table="tcga_brca_all_clean.csv.zip", endpoint="overall survival"
    )  # fmt: skip
    table.outcome.astype({"event": int}).to_csv(tmp_path / "outcome.csv")
    table.clinical[["age"]].to_csv(tmp_path / "age.csv")
    files = CohortFiles(
        "TCGA-BRCA", tmp_path / "expression.csv", tmp_path / "outcome.csv", tmp_path / "age.csv", log2=True
    )
    found = run_signature(files, tmp_path / "out")
    honest, fitted = found.evaluations
    assert (honest.n, honest.events) == (956, 130)
    assert found.signature.genes == ("MIA", "KRT17", "TMEM45B", "BCL2", "BAG1", "BLVRA", "KRT5")
    assert fitted.c_index == pytest.approx(0.660, abs=0.002)
    assert honest.c_index == pytest.approx(0.571, abs=0.002)
    assert fitted.splits[0].logrank_p == pytest.approx(2.0e-6, rel=0.2)
    assert honest.splits[0].logrank_p == pytest.approx(0.031, rel=0.1)
    assert (tmp_path / "out" / "km_discovery_out_of_fold.svg").exists()
