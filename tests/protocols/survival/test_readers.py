"""Readers of patient tables: what they keep, what they refuse, and the real files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.survival.contract import signature_columns
from protocols.survival.read import read_patients
from tests.cohorts import real_data


def mcat_rows() -> pd.DataFrame:
    """Four slides of three patients, with every trap of the released tables."""
    return pd.DataFrame(
        {
            "Unnamed: 0": [0, 1, 2, 3],
            "case_id": ["B", "A", "A", "C"],
            "slide_id": ["B.svs", "A1.svs", "A2.svs", "C.svs"],
            "site": ["X", "Y", "Y", "X"],
            "is_female": [1, 0, 0, 1],
            "oncotree_code": ["IDC"] * 4,
            "age": [50, 60, 60, np.nan],
            "survival_months": [10.0, 20.5, 20.5, 3.0],
            "censorship": [1, 0, 0, 1],
            "train": [1.0, 0.0, 0.0, 1.0],
            "TP53_rnaseq": [0.1, -0.2, -0.2, 0.3],
            "TP53_cnv": [0, 2, 2, -1],
            "KRAS": [0, 1, 1, 0],
        }
    )


def read(folder: Path, rows: pd.DataFrame, **more: str):
    rows.to_csv(folder / "t.csv", index=False)
    return read_patients("c", "mcat", folder, table="t.csv", **more)


def test_mcat_table(tmp_path: Path) -> None:
    cohort = read(tmp_path, mcat_rows())
    assert list(cohort.outcome.index) == ["A", "B", "C"]
    assert cohort.outcome["event"].tolist() == [True, False, False]  # censorship 1 is censored
    assert cohort.outcome["time"].tolist() == [20.5, 10.0, 3.0]
    assert list(cohort.clinical.columns) == ["age", "is_female"]
    assert list(cohort.genomic.columns) == ["KRAS_mut", "TP53_cnv", "TP53_rnaseq"]
    assert cohort.genomic.loc["A"].tolist() == pytest.approx([1, 2, -0.2])


def test_outcome_and_leftovers_are_no_features(tmp_path: Path) -> None:
    cohort = read(tmp_path, mcat_rows())
    features = {*cohort.clinical.columns, *cohort.genomic.columns}
    assert not features & {"censorship", "survival_months", "train", "Unnamed: 0", "site", "train_mut"}


@pytest.mark.parametrize("zipped", [True, False])
def test_zip_by_bytes_not_by_name(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "t.csv.zip"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../dir/t.csv.zip", mcat_rows().to_csv(index=False))
    else:
        path.write_text(mcat_rows().to_csv(index=False))
    assert len(read_patients("c", "mcat", tmp_path, table="t.csv.zip").outcome) == 3


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("censorship", [1, 0, 0, 2], "event of C is -1"),
        ("survival_months", [10.0, 20.5, 99.0, 3.0], "slides of A disagree on survival_months"),
        ("TP53_rnaseq", ["x", 1, 1, 1], "TP53_rnaseq of B is 'x'"),
        ("MYSTERY", [0.5, 1, 1, 2], "column 'MYSTERY' is neither a label nor a gene"),
    ],
)
def test_bad_tables_get_one_clear_line(tmp_path: Path, column: str, value: list[object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, mcat_rows().assign(**{column: value}))


def test_patients_without_follow_up_are_left_out_by_name(tmp_path: Path) -> None:
    rows = mcat_rows().assign(survival_months=[0.0, 20.5, 20.5, np.nan])
    cohort = read(tmp_path, rows)
    assert list(cohort.outcome.index) == ["A"]
    assert {(item.what, item.reason) for item in cohort.excluded} == {
        ("patient B", "follow-up of no length"),
        ("patient C", "time or event is missing"),
    }


def test_missing_table_truncated_zip_and_empty_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such table"):
        read_patients("c", "mcat", tmp_path, table="none.csv")
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", mcat_rows().to_csv(index=False) * 50)
    whole = (tmp_path / "t.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:200] + bytes(100) + whole[300:])
    with pytest.raises(UserError):
        read_patients("c", "mcat", tmp_path, table="cut.zip")
    (tmp_path / "empty.csv").write_text("case_id,survival_months,censorship\n")
    with pytest.raises(UserError, match="no rows"):
        read_patients("c", "mcat", tmp_path, table="empty.csv")


def test_splits_of_strangers_are_refused_and_known_ones_read(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    for fold, (train, val) in enumerate([(["A", "B"], ["C"]), (["B", "C"], ["A"])]):
        pd.DataFrame({"train": train, "val": [*val, None]}).to_csv(tmp_path / "splits" / f"splits_{fold}.csv")
    cohort = read(tmp_path, mcat_rows(), splits="splits")
    assert cohort.folds is not None
    assert [(fold.name, fold.train, fold.test) for fold in cohort.folds] == [
        ("0", ("A", "B"), ("C",)),
        ("1", ("B", "C"), ("A",)),
    ]
    pd.DataFrame({"train": ["A"], "val": ["Z"]}).to_csv(tmp_path / "splits" / "splits_2.csv")
    with pytest.raises(UserError, match="1 patients of fold 2 are not in the tables, first Z"):
        read(tmp_path, mcat_rows(), splits="splits")


def test_tidy_tables_in_days(tmp_path: Path) -> None:
    pd.DataFrame({"patient": ["p2", "p1"], "time": [365.25, 30.4375], "event": [1, 0], "unit": "days"}).to_csv(
        tmp_path / "o.csv", index=False
    )
    pd.DataFrame({"patient": ["p1", "p2"], "stage": [1, 3]}).to_csv(tmp_path / "c.csv", index=False)
    cohort = read_patients("t", "tidy", tmp_path, outcome="o.csv", clinical="c.csv")
    assert cohort.outcome["time"].tolist() == pytest.approx([1.0, 12.0])
    assert cohort.clinical["stage"].tolist() == [1, 3]
    assert cohort.genomic.shape == (2, 0)


def test_tidy_genomic_columns_must_say_what_they_are(tmp_path: Path) -> None:
    pd.DataFrame({"patient": ["p1"], "time": [3], "event": [1]}).to_csv(tmp_path / "o.csv", index=False)
    pd.DataFrame({"patient": ["p1"], "TP53": [3]}).to_csv(tmp_path / "g.csv", index=False)
    with pytest.raises(UserError, match="genomic column 'TP53'"):
        read_patients("t", "tidy", tmp_path, outcome="o.csv", genomic="g.csv")


def test_an_unknown_reader_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mcat"):
        read_patients("c", "mact", tmp_path)


def test_gse7390_is_198_patients_without_a_download() -> None:
    cohort = read_patients("g", "gse7390", Path())
    assert (len(cohort.outcome), int(cohort.outcome["event"].sum()), cohort.genomic.shape[1]) == (198, 51, 76)
    assert list(cohort.clinical.columns) == ["age", "er", "grade", "size_cm"]
    assert cohort.clinical["grade"].isna().sum() == 2
    assert 60 < cohort.outcome["time"].median() / 12 * 10 < 200  # years, not days


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "name", "patients", "events", "sizes"),
    [
        ("mcat", "blca", 373, 169, (94, 334, 521, 468, 1496, 479)),
        ("mcat", "luad", 453, 158, (89, 334, 534, 471, 1510, 482)),
        ("porpoise", "brca", 956, 130, None),
        ("porpoise", "lusc", 450, 192, None),
    ],
)
def test_published_tables_and_splits(
    folder: str, name: str, patients: int, events: int, sizes: tuple[int, ...] | None
) -> None:
    root = real_data(folder)
    cohort = read_patients(
        name,
        "mcat",
        root,
        table=f"tcga_{name}_all_clean.csv.zip",
        signatures="signatures.csv",
        splits=f"splits/tcga_{name}",
    )  # fmt: skip
    assert (len(cohort.outcome), int(cohort.outcome["event"].sum())) == (patients, events)
    assert cohort.folds is not None
    assert sum(len(fold.test) for fold in cohort.folds) == patients
    if sizes:
        columns = signature_columns(tuple(cohort.genomic.columns), cohort.signatures)
        assert tuple(map(len, columns.values())) == sizes
