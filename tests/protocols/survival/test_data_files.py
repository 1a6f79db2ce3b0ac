"""What a cohort of patients is made of: what its entry names, and nothing that merely lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.readers.patient_tables import read_splits
from protocols.survival.read import data_files, read
from protocols.survival.settings import PatientEntry, SurvivalSettings
from protocols.survival.store import open_store
from protocols.task import CohortRequest


def request(**entry: Any) -> CohortRequest:
    return CohortRequest("survival", "c", PatientEntry(**entry), SurvivalSettings(), seed=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "splits").mkdir()
    pd.DataFrame({"patient": ["a", "b"], "time": [3, 4], "event": [1, 0]}).to_csv(tmp_path / "o.csv", index=False)
    slides = {"slide": ["s", "t"], "patient": ["a", "b"], "path": ["bags/s.h5", "bags/t.h5"]}
    pd.DataFrame({**slides, "kind": "bag", "encoder": "uni"}).to_csv(tmp_path / "slides.csv", index=False)
    (tmp_path / "bags").mkdir()
    for name in ("s", "t", "unlisted"):
        (tmp_path / "bags" / f"{name}.h5").write_bytes(name.encode())
    for number in (0, 1, 10):
        fold = pd.DataFrame({"train": ["a"], "val": ["b"]})
        fold.to_csv(tmp_path / "splits" / f"splits_{number}.csv", index=False)
    (tmp_path / "splits" / "splits_0_bool.csv").write_text("train\n1\n")
    (tmp_path / "notes.txt").write_text("nothing that is read")
    return tmp_path


def test_they_are_the_files_that_tables_and_folds_name(root: Path) -> None:
    asked = request(reader="tidy", root=root, outcome="o.csv", slides="slides.csv", splits="splits")
    assert {path.relative_to(root).as_posix() for path in data_files(asked)} == {
        "o.csv", "slides.csv", "bags/s.h5", "bags/t.h5", "splits/splits_0.csv", "splits/splits_1.csv",
        "splits/splits_10.csv",
    }  # fmt: skip


def test_truth_is_none_of_them(root: Path) -> None:
    """The engine hashes it apart, because scores and references alone depend on it."""
    assert data_files(request(reader="tidy", root=root, outcome="o.csv", truth=root / "bags")) == [root / "o.csv"]


def test_published_folds_come_by_number_and_clams_other_tables_are_no_folds(root: Path) -> None:
    assert [fold.name for fold in read_splits(root / "splits")] == ["0", "1", "10"]


def test_a_folder_without_folds_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"bags: no splits; expected splits_0\.csv"):
        data_files(request(reader="tidy", root=root, outcome="o.csv", splits="bags"))


def test_gse7390_needs_no_root_and_names_the_file_that_its_library_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sksurv.datasets import base

    opened: list[Path] = []
    real = base.loadarff

    def watched(path: str, **more: Any) -> Any:
        opened.append(Path(path))
        return real(path, **more)

    monkeypatch.setattr(base, "loadarff", watched)
    asked = request(reader="gse7390", endpoint="distant metastasis")
    read(asked, tmp_path)
    assert [path.resolve() for path in data_files(asked)] == [path.resolve() for path in opened]
    store = open_store(asked, tmp_path)
    assert (len(store), store.info.endpoint) == (198, "distant metastasis")


def test_gse7390_is_not_called_by_an_event_that_it_has_not(tmp_path: Path) -> None:
    asked = request(reader="gse7390")
    read(asked, tmp_path)
    assert open_store(asked, tmp_path).info.endpoint == "distant metastasis"
    with pytest.raises(UserError, match=r"endpoint 'overall survival'.*expected 'distant metastasis'"):
        read(request(reader="gse7390", endpoint="overall survival"), tmp_path)
