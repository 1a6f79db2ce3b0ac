"""Tables of treated patients: what is read, what is refused in one line; folds against scikit-learn's; the audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold

from protocols.errors import UserError
from protocols.findings import Finding
from protocols.response.audit import audit_response
from protocols.response.contract import biomarker_columns, niche_columns
from protocols.response.settings import ResponseSettings
from protocols.response.splits import stratified
from protocols.response.store import ResponseStore, write_response_store
from protocols.response.tables import read_tidy
from protocols.splits import Fold, Split
from tests.suite.engine.small.response import write_patients

OUTCOME = "patient,response\nC,1\nA,0\nB,\nD,1\n"


def read(folder: Path, outcome: str = OUTCOME, **tables: str) -> ResponseStore:
    named = {"outcome": outcome, **tables}
    for name, text in named.items():
        (folder / f"{name}.csv").write_text(text)
    cohort = read_tidy("mine", folder, **{name: f"{name}.csv" for name in named})
    return write_response_store(folder / "stored", cohort, phantom=False)


def test_tables_are_read_by_patient(tmp_path: Path) -> None:
    """B has no outcome, D no clinical row; columns are sorted, and a stranger's row is nobody's."""
    store = read(tmp_path, clinical="patient,tmb,age\nA,3,60\nC,,70\nZ,1,1\n", proteins="patient,mean_CD8\nD,0.5\n")
    assert store.patients == ("A", "C", "D")
    assert store.response.tolist() == [False, True, True]
    assert store.clinical_features == ("age", "tmb")
    np.testing.assert_array_equal(store.clinical, np.array([[60, 3], [70, np.nan], [np.nan] * 2], dtype=np.float32))
    np.testing.assert_array_equal(store.proteins, np.array([[np.nan], [np.nan], [0.5]], dtype=np.float32))
    assert [(one.what, one.reason) for one in store.excluded] == [("patient B", "response is missing")]


def test_a_cohort_may_have_outcomes_alone(tmp_path: Path) -> None:
    store = read(tmp_path)
    assert (store.clinical.shape, store.proteins.shape) == ((3, 0), (3, 0))


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ("patient,response\nA,CR\nB,0\n", r"response of A is 'CR'; expected 1 \(responded\) or 0"),
        ("patient,response\nA,2\nB,0\n", r"response of A is '2'"),
        ("patient,response\nA,yes\nB,no\n", r"response of A is 'yes'"),
        ("patient,response\nA,1\nA,0\n", "patient A twice"),
        ("patient,responded\nA,1\n", "no column 'response'"),
        ("id,response\nA,1\n", "no column 'patient'"),
        ("patient,response\nA,\n", "no patient with a response"),
        ("patient,response\n,1\n", "a row without patient"),
    ],
)
def test_other_codings_and_tables_are_refused_in_one_line(tmp_path: Path, outcome: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path, outcome)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("patient,age\nX,1\n", "shares no patient with the outcomes"),
        ("patient,age\nA,old\n", "age of A is 'old'"),
        ("patient,age\nA,1\nA,2\n", "patient A twice"),
    ],
)
def test_a_table_of_features_that_will_not_do(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, clinical=table)


def test_biomarkers_and_niches_by_name() -> None:
    names = ("PD-L1 (TPS)", "age", "cps_pd_l1", "TMB per Mb", "Tumour mutational burden", "mean_PD-L1")
    assert biomarker_columns(names, "pdl1").tolist() == [0, 2]
    assert biomarker_columns(names, "tmb").tolist() == [3, 4]
    assert niche_columns(("mean_CD8", "niche_CD8_CD4", "Niche_x")).tolist() == [1, 2]


def made(folder: Path, n: int = 148, **options: float) -> ResponseStore:
    write_patients(folder, n, **options)  # type: ignore[arg-type]
    files = {name: f"{name}.csv" for name in ("outcome", "clinical", "proteins")}
    return write_response_store(folder / "stored", read_tidy("made", folder, **files), phantom=True)


def test_folds_are_as_even_as_scikit_learns(tmp_path: Path) -> None:
    store = made(tmp_path / "data")
    split = stratified(store, ResponseSettings(folds=5), seed=0)
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(store.patients, store.response)
    assert sorted(row for fold in split.folds for row in fold.test.tolist()) == list(range(148))
    for fold in split.folds:
        assert sorted([*fold.train.tolist(), *fold.test.tolist()]) == list(range(148))
    ours, expected = (
        [sorted(np.bincount(store.response[rows], minlength=2)[k] for rows in tests) for k in (0, 1)]
        for tests in ([fold.test for fold in split.folds], [test for _, test in theirs])
    )
    assert ours == expected
    assert max(len(fold.test) for fold in split.folds) - min(len(fold.test) for fold in split.folds) <= 1


def test_folds_follow_the_seed(tmp_path: Path) -> None:
    store = made(tmp_path / "data", 40)
    first, same, other = (stratified(store, ResponseSettings(), seed).folds[0].test.tolist() for seed in (0, 0, 1))
    assert first == same
    assert first != other


def test_too_few_responders(tmp_path: Path) -> None:
    rows = "".join(f"P{k:02d},{int(k < 4)}\n" for k in range(30))
    with pytest.raises(UserError, match="4 responders; expected at least 5, so that each of 5 folds tests one"):
        stratified(read(tmp_path, f"patient,response\n{rows}"), ResponseSettings(), 0)


def audited(store: ResponseStore, split: Split | None = None) -> dict[str, Finding]:
    return {one.check: one for one in audit_response(store, split or stratified(store, ResponseSettings(), 0))}


def test_an_honest_cohort_passes(tmp_path: Path) -> None:
    """What truly tells of response is noted by name, and refuses nothing."""
    found = audited(made(tmp_path / "data", 200))
    assert {one.verdict for one in found.values()} <= {"pass", "note"}
    noted = found["no outcome among the features, by content"]
    assert noted.verdict == "note"
    assert "'mean_CD8': AUC for response" in noted.detail


def test_an_outcome_in_disguise_is_refused(tmp_path: Path) -> None:
    """The response with a little noise, under a name that says nothing; and under one that says it all."""
    folder = tmp_path / "data"
    write_patients(folder, 148, effect=0.0)
    table = pd.read_csv(folder / "clinical.csv")
    response = pd.read_csv(folder / "outcome.csv")["response"]
    table["marker_7"] = response + np.random.default_rng(0).normal(0, 0.3, len(table))
    table["PFS_months"] = 1.0
    table.to_csv(folder / "clinical.csv", index=False)
    files = {name: f"{name}.csv" for name in ("outcome", "clinical", "proteins")}
    cohort = read_tidy("leaky", folder, **files)
    found = audited(write_response_store(folder / "stored", cohort, phantom=False))
    assert found["no outcome among the features, by content"].verdict == "fail"
    assert "'marker_7'" in found["no outcome among the features, by content"].detail
    assert "'PFS_months'" in found["no outcome among the features, by name"].detail


def test_folds_that_will_not_do(tmp_path: Path) -> None:
    store = made(tmp_path / "data", 40)
    rows = np.arange(40)
    both = Split((Fold("0", "0", rows, rows[:20]), Fold("1", "1", rows[:20], rows[10:])))
    found = audited(store, both)
    assert found["no patient on both sides"].verdict == "fail"
    assert found["no patient tested twice"].verdict == "fail"
    one_sided = Split((Fold("0", "0", rows[~store.response], rows[store.response]),))
    assert "0 responders among" in found_detail(audited(store, one_sided))


def found_detail(found: dict[str, Finding]) -> str:
    return found["every fold can be scored"].detail
