"""GDC's STAR count files: which sample, which genes, which values, and what a damaged download says."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.bulk.cohort import BulkCohort
from protocols.errors import UserError
from protocols.readers.gdc import SUFFIX, read_gdc

HEADER = "gene_id gene_name gene_type unstranded stranded_first stranded_second tpm_unstranded fpkm_unstranded"
GENES = [
    ("ENSG01.1", "TP53", "protein_coding"),
    ("ENSG02.1", "MIR21", "miRNA"),
    ("ENSG03.1", "XIST", "lncRNA"),
    ("ENSG04.1", "PSEUDO", "processed_pseudogene"),
    ("ENSG05.1", "TWICE", "protein_coding"),
    ("ENSG06.1", "TWICE", "protein_coding"),
    ("ENSG07.1", "RARE", "protein_coding"),
    ("ENSG08.1", "SHOX", "protein_coding"),
    ("ENSG08.1_PAR_Y", "SHOX", "protein_coding"),
]
VALUES = [3.0, 1.0, 0.5, 9.0, 1.0, 7.0, 0.0, 4.0, 100.0]


@dataclass
class Download:
    """A small GDC download: count files, and the rows of manifest, sample sheet and slides."""

    root: Path
    manifest: list[dict[str, object]] = field(default_factory=list)
    sheet: list[dict[str, str]] = field(default_factory=list)
    slides: list[dict[str, str]] = field(default_factory=list)

    def sample(
        self,
        sample: str,
        values: list[float] = VALUES,
        *,
        file_id: str | None = None,
        kind: str = "Primary Tumor",
        project: str = "TCGA-BRCA",
        genes: list[tuple[str, str, str]] = GENES,
        model: str = "# gene-model: GENCODE v36",
    ) -> Path:
        file_id = file_id or f"id-{len(self.sheet)}"
        path = self.root / file_id / f"uuid-{file_id}{SUFFIX}"
        path.parent.mkdir(parents=True)
        lines = [model, "\t".join([*HEADER.split(), "fpkm_uq_unstranded"])]
        lines += [f"N_{name}\t\t\t5\t6\t7\t\t\t" for name in ("unmapped", "multimapping", "noFeature", "ambiguous")]
        lines += ["\t".join([*gene, "1", "1", "1", f"{2 * value}", "0", f"{value}"])
                  for gene, value in zip(genes, values, strict=True)]  # fmt: skip
        content = ("\n".join(lines) + "\n").encode()
        path.write_bytes(content)
        self.manifest.append({"id": file_id, "filename": path.name, "md5": hashlib.md5(content).hexdigest(),
                              "size": len(content), "state": "released"})  # fmt: skip
        self.sheet.append({"File ID": file_id, "File Name": path.name, "Data Category": "Transcriptome Profiling",
                           "Data Type": "Gene Expression Quantification", "Project ID": project,
                           "Case ID": sample[:12], "Sample ID": sample, "Sample Type": kind})  # fmt: skip
        return path

    def slide(self, name: str, patient: str | None = None) -> None:
        path = f"slides/{name}.svs"
        (self.root / "slides").mkdir(exist_ok=True)
        (self.root / path).write_bytes(name.encode())
        self.slides.append({"slide": name, "patient": name[:12] if patient is None else patient, "path": path})

    def read(self, **options: object) -> BulkCohort:
        pd.DataFrame(self.manifest).to_csv(self.root / "manifest.txt", sep="\t", index=False)
        pd.DataFrame(self.sheet).to_csv(self.root / "sheet.tsv", sep="\t", index=False)
        pd.DataFrame(self.slides).to_csv(self.root / "slides.csv", index=False)
        tables = {"manifest": "manifest.txt", "sample_sheet": "sheet.tsv", "slides": "slides.csv"}
        return read_gdc("brca", self.root, **{**tables, **options})  # type: ignore[arg-type]


A, B, C = "TCGA-AA-0001", "TCGA-BB-0002", "TCGA-CC-0003"


@pytest.fixture
def download(tmp_path: Path) -> Download:
    """Three patients; B's values are A's doubled, C's A's and 1 more."""
    made = Download(tmp_path)
    made.sample(f"{C}-01A", [value + 1 if value else 0 for value in VALUES])
    made.sample(f"{A}-01A")
    made.sample(f"{B}-01A", [2 * value for value in VALUES])
    for patient in (A, B, C):
        made.slide(f"{patient}-01Z-00-DX1.F6E9")
    return made


def reasons(cohort: BulkCohort) -> dict[str, str]:
    return {item.what: item.reason for item in cohort.excluded}


def column(cohort: BulkCohort, gene: str) -> list[float]:
    return cohort.expression[:, cohort.genes.index(gene)].tolist()


def test_a_cohort(download: Download) -> None:
    cohort = download.read()
    assert cohort.patients == (A, B, C)
    assert cohort.genes == ("MIR21", "SHOX", "TP53", "TWICE", "XIST")
    assert cohort.gene_types == ("miRNA", "protein_coding", "protein_coding", "protein_coding", "lncRNA")
    assert cohort.expression.dtype == np.float32
    assert column(cohort, "TP53") == pytest.approx(np.log2([4, 7, 5]))
    assert column(cohort, "XIST") == pytest.approx(np.log2([1.5, 2, 2.5]))
    assert column(cohort, "SHOX") == pytest.approx(np.log2([5, 9, 6]))  # the Y copy is dropped, not added
    assert [slide.patient for slide in cohort.slides] == [A, B, C]
    assert cohort.tissue is None
    assert not cohort.excluded


@pytest.mark.parametrize(
    ("rule", "genes"),
    [
        ("highest_mean", {"TWICE": np.log2([8, 15, 9])}),
        ("sum", {"TWICE": np.log2([9, 17, 11])}),
        ("by_id", {"TWICE|ENSG05.1": np.log2([2, 3, 3]), "TWICE|ENSG06.1": np.log2([8, 15, 9])}),
    ],
)
def test_repeated_symbols(download: Download, rule: str, genes: dict[str, np.ndarray]) -> None:
    cohort = download.read(duplicates=rule)
    assert {gene for gene in cohort.genes if gene.startswith("TWICE")} == set(genes)
    for gene, expected in genes.items():
        assert column(cohort, gene) == pytest.approx(expected)


def test_gene_rules(download: Download) -> None:
    download.sample("TCGA-DD-0004-01A", [*VALUES[:6], 5.0, *VALUES[7:]])
    download.slide("TCGA-DD-0004-01Z-00-DX1")
    assert "RARE" not in download.read().genes
    assert "RARE" in download.read(gene_rule="any_above_zero").genes
    assert "RARE" in download.read(gene_rule="all").genes
    with pytest.raises(UserError, match=r"unknown gene rule 'median_above_zer'.*did you mean 'median_above_zero'"):
        download.read(gene_rule="median_above_zer")


def test_types_and_columns(download: Download) -> None:
    assert download.read(types=["lncRNA"]).genes == ("XIST",)
    assert "PSEUDO" in download.read(types=["processed_pseudogene"]).genes
    assert column(download.read(column="tpm_unstranded"), "TP53") == pytest.approx(np.log2([7, 13, 9]))
    with pytest.raises(UserError, match="did you mean 'tpm_unstranded'"):
        download.read(column="tpm_unstrande")
    with pytest.raises(UserError, match="did you mean 'lncRNA'"):
        download.read(types=["lncRNa"])


def test_the_order_of_the_sheet_does_not_matter(download: Download) -> None:
    first = download.read()
    download.sheet.reverse()
    download.manifest.reverse()
    download.slides.reverse()
    again = download.read()
    assert again.patients == first.patients
    assert again.slides == first.slides
    np.testing.assert_array_equal(again.expression, first.expression)


def test_the_first_sample_is_used_and_the_others_are_named(download: Download) -> None:
    download.sample(f"{A}-01B", [50.0] * 9, file_id="late")
    download.sample(f"{A}-01A", [60.0] * 9, file_id="zz-aliquot")
    download.sample(f"{A}-11A", [70.0] * 9, file_id="normal", kind="Solid Tissue Normal")
    cohort = download.read()
    assert column(cohort, "TP53")[0] == 2.0
    said = reasons(cohort)
    assert said[f"file late of sample {A}-01B"].startswith(f"another sample of {A}, {A}-01A in file id-1")
    assert said[f"file zz-aliquot of sample {A}-01A"].startswith(f"another sample of {A}")
    assert said[f"file normal of sample {A}-11A"] == "Solid Tissue Normal, not Primary Tumor"


def test_nobody_is_left_out_in_silence(download: Download) -> None:
    download.sample("TCGA-DD-0004-01A", file_id="noslide")
    download.sample("TCGA-EE-0005-01A", file_id="unlisted")
    download.manifest.pop()
    download.sample("TCGA-FF-0006-01A", file_id="orphan")
    download.sheet.pop()
    download.sample(f"{A}, {B}", file_id="mixture")
    download.sheet[-1]["Case ID"] = f"{A}, {B}"
    download.slide("TCGA-EE-0005-01Z-00-DX1")
    download.slide("nobodys", patient="")
    assert reasons(download.read()) == {
        f"file mixture of sample {A}, {B}": f"of no single patient (Case ID '{A}, {B}')",
        "patient TCGA-DD-0004": "no slide",
        "file unlisted of sample TCGA-EE-0005-01A": "not in the manifest",
        "slide TCGA-EE-0005-01Z-00-DX1": "no expression of patient TCGA-EE-0005",
        "file orphan": "not in the sample sheet",
        "slide nobodys": "patient unknown",
    }


def test_slides_of_another_sample_type_or_patient(download: Download) -> None:
    download.slide(f"{A}-11A-01-TS1.AB")
    cohort = download.read()
    assert len(cohort.slides) == 3
    assert reasons(cohort) == {f"slide {A}-11A-01-TS1.AB": "of sample type 11, expression is of type 01"}
    download.slide(f"{A}-01Z-00-DX2.CD", patient=B)
    with pytest.raises(UserError, match=f"is listed as of patient {B}; expected patient {A}"):
        download.read()


def test_metastases_where_they_are_asked_for(download: Download) -> None:
    """Most of TCGA's melanomas are metastases: slides of type 06 go with expression of type 06."""
    download.sample("TCGA-DD-0004-06A", kind="Metastatic")
    download.slide("TCGA-DD-0004-06Z-00-DX1")
    assert "TCGA-DD-0004" not in download.read().patients
    assert "TCGA-DD-0004" in download.read(sample_types=("Primary Tumor", "Metastatic")).patients


def test_sample_sheets_of_later_releases(download: Download) -> None:
    download.sample(f"{A}-11A", file_id="normal")
    for row in download.sheet:
        normal = row.pop("Sample ID").endswith("11A")
        row["Sample ID"] = f"{row['Case ID']}-{'11A' if normal else '01A'}"
        del row["Sample Type"]
        row |= {
            "Tissue Type": "Normal" if normal else "Tumor",
            "Tumor Descriptor": "Not Applicable" if normal else "Primary",
        }
    cohort = download.read()
    assert cohort.patients == (A, B, C)
    assert reasons(cohort) == {f"file normal of sample {A}-11A": "Not Applicable Normal, not Primary Tumor"}


def test_one_cancer_a_cohort(download: Download) -> None:
    download.sample("TCGA-DD-0004-01A", project="TCGA-GBM")
    download.slide("TCGA-DD-0004-01Z-00-DX1")
    with pytest.raises(UserError, match=r"2 projects \(TCGA-BRCA, TCGA-GBM\)"):
        download.read()
    assert download.read(project="TCGA-GBM").patients == ("TCGA-DD-0004",)
    assert download.read(project="TCGA-BRCA").patients == (A, B, C)
    with pytest.raises(UserError, match="did you mean 'TCGA-GBM'"):
        download.read(project="TCGA-GB")


def test_zipped_files(download: Download) -> None:
    plain = download.read()
    for entry in download.manifest:
        path = download.root / str(entry["id"]) / str(entry["filename"])
        content = gzip.compress(path.read_bytes())
        path.unlink()
        if entry["id"] == "id-0":  # zipped before the manifest was made
            entry |= {"filename": f"{path.name}.gz", "md5": hashlib.md5(content).hexdigest(), "size": len(content)}
        path.with_name(f"{path.name}.gz").write_bytes(content)
    np.testing.assert_array_equal(download.read().expression, plain.expression)
    damaged = download.root / "id-1" / f"uuid-id-1{SUFFIX}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UserError, match=f"{damaged.name}: damaged gzip file"):
        download.read()


def test_truncated_altered_and_missing_files_are_named(download: Download) -> None:
    path = download.root / "id-1" / f"uuid-id-1{SUFFIX}"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(
        UserError, match=rf"{path.name}: {len(whole) - 10} bytes; expected {len(whole)} by the manifest"
    ):
        download.read()
    path.write_bytes(whole.replace(b"TP53", b"TP63"))
    with pytest.raises(UserError, match=rf"{path.name}: md5 .* by the manifest"):
        download.read()
    path.unlink()
    with pytest.raises(UserError, match=f"{path.name}: no count file of {A}"):
        download.read()


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([-1.0, *VALUES[1:]], {}, r"expression of ENSG01\.1 is -1"),
        ([float("nan"), *VALUES[1:]], {}, r"unreadable|expression of ENSG01\.1 is nan"),
        (VALUES, {"genes": [("ENSG99.1", "TP53", "protein_coding"), *GENES[1:]]}, "other genes"),
        (VALUES, {"model": "# gene-model: GENCODE v22"}, r"other genes \(# gene-model: GENCODE v22\)"),
    ],
)
def test_bad_files(download: Download, values: list[float], options: dict, says: str) -> None:
    path = download.sample("TCGA-DD-0004-01A", values, **options)
    download.slide("TCGA-DD-0004-01Z-00-DX1")
    with pytest.raises(UserError, match=rf"{path.name}: ({says})"):
        download.read()


def test_legacy_files_are_refused(download: Download) -> None:
    path = download.root / "id-1" / f"uuid-id-1{SUFFIX}"
    path.write_bytes(b"ENSG01.1\t3.5\nENSG02.1\t1\n")
    download.manifest[1] |= {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "size": path.stat().st_size}
    with pytest.raises(UserError, match="no STAR count file"):
        download.read()


def test_no_common_patient(download: Download) -> None:
    download.slides.clear()
    download.slide("other", patient="P1")
    with pytest.raises(UserError, match="none of 3 patients with expression has a slide"):
        download.read()
