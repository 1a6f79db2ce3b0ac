"""SEQUOIA's reference tables: rows of slides made rows of patients, and the real sample of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.bulk.cohort import BulkCohort
from protocols.errors import UserError
from protocols.readers.reference_table import read_reference_table
from tests.cohorts import real_data


def rows() -> pd.DataFrame:
    """Four slides of three patients, and a column that only *contains* ``rna_``."""
    return pd.DataFrame(
        {
            "wsi_file_name": ["b1", "a1.svs", "a2", "c1"],
            "patient_id": ["B", "A", "A", "C"],
            "rna_TP53": [1.0, 2.5, 2.5, 0.0],
            "rna_A1BG-AS1": [0.0, 0.5, 0.5, 3.0],
            "microrna_note": ["x", "y", "y", "z"],
            "tcga_project": ["TCGA-BRCA"] * 4,
        }
    )


def read(
    folder: Path, table: pd.DataFrame, slides: dict[str, str] | None = None, name: str = "ref.csv", **options: object
) -> BulkCohort:
    """``slides``: slide to patient."""
    table.to_csv(folder / name, index=False)
    listed = {"a1": "A", "a2.svs": "A", "b1": "B", "c1": "C"} if slides is None else slides
    for slide in listed:
        (folder / f"{slide}.file").touch()
    made = [{"slide": slide, "patient": patient, "path": f"{slide}.file"} for slide, patient in listed.items()]
    pd.DataFrame(made).to_csv(folder / "slides.csv", index=False)
    return read_reference_table("ref", folder, table=name, slides="slides.csv", **options)  # type: ignore[arg-type]


def reasons(cohort: BulkCohort) -> dict[str, str]:
    return {item.what: item.reason for item in cohort.excluded}


@pytest.mark.parametrize("name", ["ref.csv", "ref.csv.gz"])
def test_a_table(tmp_path: Path, name: str) -> None:
    cohort = read(tmp_path, rows(), name=name)
    assert cohort.patients == ("A", "B", "C")
    assert cohort.genes == ("A1BG-AS1", "TP53")
    assert cohort.gene_types == ("unknown", "unknown")
    assert cohort.expression.dtype == np.float32
    assert cohort.expression.tolist() == [[0.5, 2.5], [0.0, 1.0], [3.0, 0.0]]  # as given: it already is a logarithm
    assert [slide.slide for slide in cohort.slides] == ["a1", "a2.svs", "b1", "c1"]
    assert not cohort.excluded


def test_slides_and_rows_without_each_other_are_named(tmp_path: Path) -> None:
    cohort = read(tmp_path, rows(), {"a1": "A", "c1": "C", "stray": "A"})
    assert cohort.patients == ("A", "C")
    assert reasons(cohort) == {
        "slide stray": "no row in the table",
        "slide b1": "no file is listed",
        "slide a2": "no file is listed",
        "patient B": "no slide",
    }


def test_a_gene_list_chooses_and_says_types(tmp_path: Path) -> None:
    pd.DataFrame({"gene": ["TP53"], "gene_type": ["protein_coding"]}).to_csv(tmp_path / "genes.csv", index=False)
    cohort = read(tmp_path, rows(), gene_list="genes.csv")
    assert (cohort.genes, cohort.gene_types) == (("TP53",), ("protein_coding",))
    pd.DataFrame({"gene": ["TP53", "TP5"]}).to_csv(tmp_path / "genes.csv", index=False)
    with pytest.raises(UserError, match=r"1 genes of genes.csv are missing, first TP5; .* did you mean 'TP53'"):
        read(tmp_path, rows(), gene_list="genes.csv")
    pd.DataFrame({"gene": ["TP53", "TP53"]}).to_csv(tmp_path / "genes.csv", index=False)
    with pytest.raises(UserError, match="repeated gene"):
        read(tmp_path, rows(), gene_list="genes.csv")


def test_rules_for_genes_apply_here_too(tmp_path: Path) -> None:
    table = rows().assign(rna_ZERO=0.0)
    assert "ZERO" in read(tmp_path, table).genes
    assert "ZERO" not in read(tmp_path, table, gene_rule="median_above_zero").genes


def test_a_repeated_column_is_one_gene(tmp_path: Path) -> None:
    table = pd.concat([rows(), pd.Series([5.0, 5, 5, 5], name="rna_TP53")], axis=1)
    cohort = read(tmp_path, table)
    assert cohort.genes == ("A1BG-AS1", "TP53")
    assert cohort.expression[:, 1].tolist() == [5, 5, 5]
    assert read(tmp_path, table, duplicates="by_id").genes == ("A1BG-AS1", "TP53|TP53", "TP53|TP53.1")


def test_a_dotted_symbol_is_not_taken_for_a_repeated_one(tmp_path: Path) -> None:
    table = rows().rename(columns={"rna_A1BG-AS1": "rna_AC0001.2"})
    assert read(tmp_path, table).genes == ("AC0001.2", "TP53")


def test_projects(tmp_path: Path) -> None:
    table = rows().assign(tcga_project=["TCGA-GBM", "TCGA-BRCA", "TCGA-BRCA", "TCGA-BRCA"])
    with pytest.raises(UserError, match=r"2 projects \(TCGA-BRCA, TCGA-GBM\)"):
        read(tmp_path, table)
    assert read(tmp_path, table, project="TCGA-BRCA").patients == ("A", "C")
    with pytest.raises(UserError, match="did you mean 'TCGA-GBM'"):
        read(tmp_path, table, project="TCGA-GBMM")
    assert read(tmp_path, rows().drop(columns="tcga_project")).patients == ("A", "B", "C")


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("rna_TP53", [1.0, 2.5, 2.6, 0.0], r"slides a1\.svs and a2 of A disagree on TP53"),
        ("rna_TP53", [1.0, 2.5, 2.5, np.nan], "slide c1: expression of TP53 is nan"),
        ("rna_TP53", [1.0, 2.5, 2.5, -1.0], "slide c1: expression of TP53 is -1"),
        ("rna_TP53", [4000.0, 2.5, 2.5, 1.0], r"slide b1: expression of TP53 is 4000; expected log2\(v \+ 1\)"),
        ("rna_TP53", ["many", 2.5, 2.5, 1.0], "text in column rna_TP53"),
        ("patient_id", ["B", None, "A", "C"], "row 3 has no patient_id"),
        ("wsi_file_name", ["b1", "a2.svs", "a2", "c1"], "slide a2 twice"),
    ],
)
def test_bad_tables_get_one_clear_line(tmp_path: Path, column: str, values: list[object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, rows().assign(**{column: values}))


def test_missing_columns(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column 'patient_id'"):
        read(tmp_path, rows().drop(columns="patient_id"))
    with pytest.raises(UserError, match="no gene; expected columns rna_<SYMBOL>"):
        read(tmp_path, rows().drop(columns=["rna_TP53", "rna_A1BG-AS1"]))


def test_a_slide_of_somebody_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="slide b1 is of A here, of B in the table"):
        read(tmp_path, rows(), {"b1": "A"})
    barcodes = rows().assign(
        wsi_file_name=["TCGA-AA-0001-01Z-00-DX1", "a1", "a2", "c1"], patient_id=["TCGA-BB-0002", "A", "A", "C"]
    )
    with pytest.raises(UserError, match=r"is listed as of patient TCGA-BB-0002; expected patient TCGA-AA-0001"):
        read(tmp_path, barcodes, {"TCGA-AA-0001-01Z-00-DX1": "TCGA-BB-0002"})


@pytest.mark.realdata
def test_the_released_sample(tmp_path: Path) -> None:
    """5 slides of 3 or fewer patients, 20,820 genes, the released gene list exactly; nothing logged twice."""
    real = real_data("sequoia")
    table = pd.read_csv(real / "ref_file.csv")
    slides = dict(zip(table["wsi_file_name"], table["patient_id"], strict=True))
    (tmp_path / "genes.csv").write_bytes((real / "gene_list.csv").read_bytes())
    cohort = read(tmp_path, table, slides, gene_list="genes.csv")
    assert len(cohort.genes) == 20_820
    assert set(cohort.genes) == set(pd.read_csv(real / "gene_list.csv", keep_default_na=False)["gene"])
    assert len(cohort.slides) == 5
    assert cohort.patients == tuple(sorted(set(table["patient_id"])))
    assert cohort.expression[:, cohort.genes.index("ACTB")].mean() == pytest.approx(10.3, abs=0.6)
    assert float(cohort.expression.max()) == pytest.approx(13.45, abs=0.01)
    assert float(cohort.expression.min()) == 0
    for patient, values in zip(cohort.patients, cohort.expression, strict=True):
        row = table[table["patient_id"] == patient].iloc[0]
        assert values[cohort.genes.index("TP53")] == np.float32(row["rna_TP53"])
    assert not cohort.excluded
