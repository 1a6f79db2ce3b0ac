"""The protein table and the protein tokens of patients: read, stored, handed out, audited; and who has none of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from protocols.contract import Card
from protocols.errors import UserError
from protocols.splits import Fold, Split
from protocols.survival.audit import audit_survival
from protocols.survival.bags import ProteinTokens
from protocols.survival.cohort import PatientCohort
from protocols.survival.fit import lacks
from protocols.survival.read import read_patients
from protocols.survival.store import PatientStore, write_patient_store
from protocols.survival.toy import inputs_of, take, toy_survival
from protocols.survival.view_makers import PatientViews

PATIENTS = [f"p{k:02d}" for k in range(40)]


def tables(folder: Path, **columns: Any) -> PatientCohort:
    """Forty patients; the protein table lacks the last one and is not in their order."""
    rng = np.random.default_rng(0)
    time = rng.exponential(20, len(PATIENTS)) + 0.1
    event = np.arange(len(PATIENTS)) % 2
    pd.DataFrame({"patient": PATIENTS, "time": time, "event": event}).to_csv(folder / "outcome.csv", index=False)
    proteins = pd.DataFrame({"patient": PATIENTS, "niche_CD8_CD4": np.arange(40.0), "mean_CD8": rng.random(40)})
    for name, make in columns.items():
        proteins[name] = make(time)
    proteins.iloc[:39][::-1].to_csv(folder / "proteins.csv", index=False)
    return read_patients("c", "tidy", folder, outcome="outcome.csv", proteins="proteins.csv")


def token_slides(folder: Path, shapes: dict[str, tuple[int, int]]) -> str:
    rows = []
    for number, (slide, shape) in enumerate(shapes.items()):
        torch.save(torch.full(shape, float(number)), folder / f"{slide}.pt")
        rows.append([slide, slide.partition("-")[0], f"{slide}.pt", "bag", "protein_tokens"])
    columns = ["slide", "patient", "path", "kind", "encoder"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "slides.csv", index=False)
    return "slides.csv"


def opened(folder: Path, store: PatientStore) -> Any:
    return SimpleNamespace(name="c", store=store, entry=SimpleNamespace(root=folder, truth=None))


def test_read_and_stored_by_patient(tmp_path: Path) -> None:
    cohort = tables(tmp_path)
    assert list(cohort.proteins.columns) == ["mean_CD8", "niche_CD8_CD4"]
    assert cohort.proteins["niche_CD8_CD4"].tolist()[:39] == list(range(39))
    assert cohort.proteins.loc["p39"].isna().all()
    store = write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)
    assert store.protein_features == ("mean_CD8", "niche_CD8_CD4")
    view = PatientViews(store, toy_survival(8).settings, None, None).inputs(np.array([3, 1]))
    assert view.proteins.dtype == np.float32
    assert view.proteins[:, 1].tolist() == [3, 1]
    with pytest.raises(UserError, match="does not say so"):
        view.protein_tokens(0)


def test_without_proteins_the_store_has_the_files_it_had(tmp_path: Path) -> None:
    tables(tmp_path)
    cohort = read_patients("c", "tidy", tmp_path, outcome="outcome.csv")
    store = write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)
    assert store.proteins.shape == (40, 0)
    stored = {path.name for path in (tmp_path / "store").iterdir()}
    assert stored == {"cohort.json", "outcome.parquet", "clinical.parquet", "genomic.parquet"}


def test_who_has_none_is_told_so(tmp_path: Path) -> None:
    tables(tmp_path)
    slides = token_slides(tmp_path, {"p00-a": (40, 384)})
    cohort = read_patients("c", "tidy", tmp_path, outcome="outcome.csv", slides=slides)
    store = write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)
    question: Any = SimpleNamespace(cohort=opened(tmp_path, store))
    for need, reason in (("proteins", "needs a protein table"), ("protein_tokens", "no bag of protein_tokens")):
        card = Card(name="m", title="m", task="survival", needs=(need,), training_overlap="none")
        assert reason in lacks(question, card)


def test_tokens_of_several_slides_are_their_mean_and_have_one_shape(tmp_path: Path) -> None:
    tables(tmp_path)
    slides = token_slides(tmp_path, {"p00-a": (40, 384), "p00-b": (40, 384), "p01-a": (24, 384)})
    cohort = read_patients("c", "tidy", tmp_path, outcome="outcome.csv", slides=slides)
    store = write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)
    tokens = ProteinTokens(opened(tmp_path, store))
    mean = tokens("p00")
    assert mean.shape == (40, 384)
    assert mean.dtype == np.float32
    assert set(mean.ravel().tolist()) == {0.5}
    with pytest.raises(UserError, match=r"protein tokens \(24, 384\)"):
        tokens("p01")


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("OS_time", lambda time: np.zeros(len(time)), "no outcome among the features, by name"),
        ("mean_CD4", lambda time: time, "no outcome among the features, by content"),
    ],
)
def test_an_outcome_among_proteins_is_refused(tmp_path: Path, name: str, values: Any, check: str) -> None:
    cohort = tables(tmp_path, **{name: values})
    store = write_patient_store(tmp_path / "store", cohort, phantom=False, root=tmp_path)
    rows = np.arange(40)
    split = Split((Fold("0", "0", rows[:20], rows[20:], ()), Fold("1", "1", rows[20:], rows[:20], ())))
    failed = {finding.check: finding.detail for finding in audit_survival(store, split) if finding.verdict == "fail"}
    assert check in failed
    assert name in failed[check]


def test_the_toy_has_proteins() -> None:
    toy = toy_survival(12)
    some = take(inputs_of(toy), np.array([5, 2]))
    assert some.proteins.shape == (2, len(toy.protein_features))
    assert np.array_equal(some.protein_tokens(0), toy.protein_tokens(5))
