"""Five folds, the store, and the audit with a planted leak for each of its checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.questions.tcga_survival import PROTOCOL
from protocols.splits import Fold, Split
from protocols.survival.audit import audit_survival
from protocols.survival.cohort import PatientCohort, PublishedFold
from protocols.survival.splits import make_split
from protocols.survival.store import PatientStore, write_patient_store
from tests.cohorts import folder_hash

GOLDEN = [0, 2, 14, 15, 20, 21, 23, 27, 32, 34, 51, 59]


def cohort(n: int = 60, **more: object) -> PatientCohort:
    rng = np.random.default_rng(0)
    index = pd.Index([f"p{k:03d}" for k in range(n)], name="patient")
    made = PatientCohort(
        name="made up",
        outcome=pd.DataFrame({"time": rng.exponential(20, n) + 0.1, "event": rng.random(n) < 0.5}, index=index),
        clinical=pd.DataFrame({"age": rng.normal(60, 9, n)}, index=index),
        genomic=pd.DataFrame({"TP53_cnv": rng.integers(-2, 3, n), "TP53_rnaseq": rng.normal(size=n)}, index=index),
        signatures={"all": ("TP53",)},
    )
    return replace(made, **more)


def store(folder: Path, made: PatientCohort | None = None) -> PatientStore:
    return write_patient_store(folder / "store", made or cohort(), phantom=False, root=folder)


def verdicts(made: PatientStore, split: Split) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in audit_survival(made, split)}


def test_folds_are_disjoint_whole_and_stratified(tmp_path: Path) -> None:
    made = store(tmp_path)
    split = make_split(made, folds=5, seed=0)
    assert sorted(np.concatenate([fold.test for fold in split.folds])) == list(range(60))
    events = [int(made.event[fold.test].sum()) for fold in split.folds]
    assert max(events) - min(events) <= 1
    assert {len(fold.test) for fold in split.folds} == {12}
    for fold in split.folds:
        assert not np.intersect1d(fold.train, fold.test).size
        assert len(fold.train) == 48


def test_folds_depend_on_the_seed_alone(tmp_path: Path) -> None:
    made = store(tmp_path)
    first, again, other = (make_split(made, folds=5, seed=seed).folds[0].test for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_golden_split(tmp_path: Path) -> None:
    """These patients were dealt to the first fold when the protocol was at version 1."""
    assert PROTOCOL.version == "1"
    test = make_split(store(tmp_path), folds=5, seed=0).folds[0].test
    assert test.tolist() == GOLDEN


def test_too_few_patients(tmp_path: Path) -> None:
    made = cohort(9)
    with pytest.raises(UserError, match="9 patients"):
        make_split(store(tmp_path, made), folds=5, seed=0)


def test_published_folds_are_used_and_the_untested_named(tmp_path: Path) -> None:
    folds = (PublishedFold("0", ("p001", "p002"), ("p000",)), PublishedFold("1", ("p000", "p002"), ("p001",)))
    split = make_split(store(tmp_path, cohort(3, folds=folds)), folds=5, seed=0)
    assert [(fold.name, fold.train.tolist(), fold.test.tolist()) for fold in split.folds] == [
        ("0", [1, 2], [0]),
        ("1", [0, 2], [1]),
    ]
    assert [(item.what, item.reason) for item in split.excluded] == [("patient p002", "no published fold tests them")]


def test_the_store_gives_back_what_was_read_and_its_hash_sees_every_value(tmp_path: Path) -> None:
    made = cohort()
    kept = store(tmp_path, made)
    np.testing.assert_array_equal(kept.time, made.outcome["time"])
    np.testing.assert_array_equal(kept.genomic, made.genomic.to_numpy(np.float32))
    assert kept.genomic_features == ("TP53_cnv", "TP53_rnaseq")
    changed = made.clinical.copy()
    changed.iloc[7, 0] += 1e-9
    first = folder_hash(kept.folder)
    assert folder_hash(store(tmp_path / "other", replace(made, clinical=changed)).folder) != first
    assert folder_hash(store(tmp_path / "same", made).folder) == first


def test_a_sound_cohort_passes(tmp_path: Path) -> None:
    made = store(tmp_path)
    split = make_split(made, folds=5, seed=0)
    assert set(verdicts(made, split).values()) == {"pass"}


def test_a_patient_on_both_sides_is_caught(tmp_path: Path) -> None:
    made = store(tmp_path)
    first, *rest = make_split(made, folds=5, seed=0).folds
    leaking = Split((replace(first, train=np.append(first.train, first.test[0])), *rest))
    assert verdicts(made, leaking)["no patient on both sides"] == "fail"


def test_a_patient_tested_twice_is_caught(tmp_path: Path) -> None:
    made = store(tmp_path)
    first, second, *rest = make_split(made, folds=5, seed=0).folds
    twice = Split((first, replace(second, test=first.test), *rest))
    assert verdicts(made, twice)["no patient tested twice"] == "fail"


@pytest.mark.parametrize(
    "name", ["censorship", "OS_time", "survival_months_rnaseq", "train", "vital_status", "fold", "DFS", "event"]
)
def test_an_outcome_by_name_is_caught(tmp_path: Path, name: str) -> None:
    made = cohort()
    noise = pd.Series(np.random.default_rng(1).normal(size=60), index=made.outcome.index)
    table = "genomic" if name.endswith("rnaseq") else "clinical"
    made = replace(made, **{table: getattr(made, table).assign(**{name: noise})})
    kept = store(tmp_path, made)
    assert verdicts(kept, make_split(kept, folds=5, seed=0))["no outcome among the features, by name"] == "fail"


@pytest.mark.parametrize("name", ["TIMP1_rnaseq", "TIMELESS_rnaseq", "OS9_rnaseq", "TESC_cnv", "EVI1_mut", "VAV1_cnv"])
def test_gene_symbols_that_resemble_outcomes_pass(tmp_path: Path, name: str) -> None:
    made = cohort()
    made = replace(made, genomic=made.genomic.assign(**{name: np.arange(60) % 3}))
    kept = store(tmp_path, made)
    assert verdicts(kept, make_split(kept, folds=5, seed=0))["no outcome among the features, by name"] == "pass"


@pytest.mark.parametrize("disguise", ["time", "log time", "-time", "event", "censored", "noisy event"])
def test_an_outcome_by_content_is_caught(tmp_path: Path, disguise: str) -> None:
    made = cohort()
    time, event = made.outcome["time"], made.outcome["event"].astype(float)
    values = {
        "time": time,
        "log time": np.log(time),
        "-time": -time,
        "event": event,
        "censored": 1 - event,
        "noisy event": event + np.random.default_rng(0).normal(0, 0.1, 60),
    }[disguise]
    made = replace(made, genomic=made.genomic.assign(BRCA1_rnaseq=values))
    kept = store(tmp_path, made)
    assert verdicts(kept, make_split(kept, folds=5, seed=0))["no outcome among the features, by content"] == "fail"


def test_a_strong_but_honest_feature_is_noted_and_stops_nothing(tmp_path: Path) -> None:
    made = cohort()
    values = -np.log(made.outcome["time"]) + np.random.default_rng(0).normal(0, 0.7, 60)
    made = replace(made, genomic=made.genomic.assign(BRCA1_rnaseq=values))
    kept = store(tmp_path, made)
    assert verdicts(kept, make_split(kept, folds=5, seed=0))["no outcome among the features, by content"] == "note"


def test_a_fold_that_cannot_be_scored_is_caught(tmp_path: Path) -> None:
    made = store(tmp_path)
    censored = np.flatnonzero(~made.event)
    rest = np.setdiff1d(np.arange(60), censored[:5])
    assert verdicts(made, Split((Fold("0", "0", rest, censored[:5], ()),)))["every fold can be scored"] == "fail"
