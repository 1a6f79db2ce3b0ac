"""Normal tissue: rows of donors' tissues, z-scores within each, and the tissues that are left out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols.bulk.cohort import BulkCohort, donor_of
from protocols.errors import UserError
from protocols.readers.gtex import read_gtex, zscore_within

SAMPLES = {
    "GTEX-AAAA-0001-SM-1": ("Lung", [1.0, 0.0, 3.0, 5.0]),
    "GTEX-AAAA-0002-SM-1": ("Colon", [7.0, 2.0, 3.0, 1.0]),
    "GTEX-BBBB-0001-SM-1": ("Lung", [3.0, 1.0, 3.0, 5.0]),
    "GTEX-BBBB-0002-SM-1": ("Lung", [99.0, 99.0, 99.0, 99.0]),
    "GTEX-CCCC-0001-SM-1": ("Colon", [0.0, 1.0, 3.0, 0.0]),
    "GTEX-CCCC-0002-SM-1": ("Breast", [9.0, 9.0, 9.0, 9.0]),
    "GTEX-DDDD-0001-SM-1": ("Breast", [5.0, 1.0, 0.0, 9.0]),
}
GENES = [("ENSG1.1", "TP53"), ("ENSG2.1", "XIST"), ("ENSG3.1", "FLAT"), ("ENSG4.1_PAR_Y", "SHOX")]
SLIDES = {
    "l-a": ("GTEX-AAAA", "Lung"),
    "c-a": ("GTEX-AAAA", "Colon"),
    "l-b": ("GTEX-BBBB", "Lung"),
    "c-c": ("GTEX-CCCC", "Colon"),
    "b-c": ("GTEX-CCCC", "Breast"),
    "b-d": ("GTEX-DDDD", "Breast"),
}


def gct(samples: dict[str, tuple[str, list[float]]] = SAMPLES, genes: list[tuple[str, str]] = GENES) -> str:
    lines = ["#1.2", f"{len(genes)}\t{len(samples)}", "\t".join(["Name", "Description", *samples])]
    for place, gene in enumerate(genes):
        lines.append("\t".join([*gene, *(str(values[place]) for _, values in samples.values())]))
    return "\n".join(lines) + "\n"


def write(folder: Path, text: str, *, name: str = "tpm.gct", slides: dict[str, tuple[str, str]] = SLIDES) -> None:
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    attributes = {sample: tissue for sample, (tissue, _) in SAMPLES.items()} | {"GTEX-ZZZZ-0001-SM-1": "Skin"}
    pd.DataFrame({"SAMPID": attributes.keys(), "SMTS": attributes.values(), "SMTSD": "x"}).to_csv(
        folder / "attributes.txt", sep="\t", index=False
    )
    for slide in slides:
        (folder / f"{slide}.svs").touch()
    listed = [
        {"slide": slide, "patient": donor, "path": f"{slide}.svs", "tissue": tissue}
        for slide, (donor, tissue) in slides.items()
    ]
    pd.DataFrame(listed).to_csv(folder / "slides.csv", index=False)


def read(folder: Path, name: str = "tpm.gct", **options: object) -> BulkCohort:
    tables = {"expression": name, "attributes": "attributes.txt", "slides": "slides.csv"}
    return read_gtex("gtex", folder, **{**tables, **options})  # type: ignore[arg-type]


def reasons(cohort: BulkCohort) -> dict[str, str]:
    return {item.what: item.reason for item in cohort.excluded}


@pytest.mark.parametrize("name", ["tpm.gct", "tpm.gct.gz"])
def test_normal_tissue(tmp_path: Path, name: str) -> None:
    write(tmp_path, gct(), name=name)
    cohort = read(tmp_path, name)
    assert cohort.patients == ("GTEX-AAAA:Colon", "GTEX-AAAA:Lung", "GTEX-BBBB:Lung", "GTEX-CCCC:Colon")
    assert cohort.tissue == ("Colon", "Lung", "Lung", "Colon")
    assert [donor_of(row) for row in cohort.patients] == ["GTEX-AAAA", "GTEX-AAAA", "GTEX-BBBB", "GTEX-CCCC"]
    assert cohort.genes == ("FLAT", "TP53", "XIST")
    # Two values that differ are 1 and -1 standard deviations off their mean; FLAT does not vary.
    assert cohort.expression == pytest.approx(np.array([[0, 1, 1], [0, -1, -1], [0, 1, 1], [0, -1, -1]]), abs=1e-6)
    assert cohort.expression.dtype == np.float32
    assert [slide.slide for slide in cohort.slides] == ["c-a", "l-a", "l-b", "c-c"]
    assert reasons(cohort) == {
        "slide b-c": "tissue Breast is not used",
        "slide b-d": "tissue Breast is not used",
        "sample GTEX-BBBB-0002-SM-1": "another sample of GTEX-BBBB:Lung, GTEX-BBBB-0001-SM-1, comes first",
        "tissue Breast": "not used, 2 samples",
    }


def test_breast_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    """The paper's 2,242 slides count breast, its Methods leave it out; both can be had."""
    write(tmp_path, gct())
    assert set(read(tmp_path, exclude=()).tissue or ()) == {"Breast", "Colon", "Lung"}
    assert set(read(tmp_path, tissues=["Lung"]).tissue or ()) == {"Lung"}
    assert set(read(tmp_path, exclude=["Lung", "Breast"]).tissue or ()) == {"Colon"}
    with pytest.raises(UserError, match="did you mean 'Lung'"):
        read(tmp_path, tissues=["Lungs"])
    with pytest.raises(UserError, match="did you mean 'Colon'"):
        read(tmp_path, exclude=["Colonn"])


def test_genes_are_seen_in_every_tissue(tmp_path: Path) -> None:
    samples = {
        sample: (tissue, [*values[:3], 0.0 if tissue == "Lung" else 1.0, 2.0])
        for sample, (tissue, values) in SAMPLES.items()
    }
    write(tmp_path, gct(samples, [*GENES[:3], ("ENSG5.1", "NOLUNG"), ("ENSG6.1", "TP53")]))
    assert read(tmp_path).genes == ("FLAT", "TP53", "XIST")
    assert "NOLUNG" in read(tmp_path, gene_rule="all").genes
    assert "NOLUNG" in read(tmp_path, gene_rule="any_above_zero").genes
    assert read(tmp_path, duplicates="by_id").genes == ("FLAT", "TP53|ENSG1.1", "TP53|ENSG6.1", "XIST")
    with pytest.raises(UserError, match="unknown gene rule"):
        read(tmp_path, gene_rule="every")


def test_a_gene_list(tmp_path: Path) -> None:
    write(tmp_path, gct())
    pd.DataFrame({"gene": ["XIST", "ABSENT"], "gene_type": ["lncRNA", "miRNA"]}).to_csv(tmp_path / "g.csv", index=False)
    cohort = read(tmp_path, gene_list="g.csv")
    assert (cohort.genes, cohort.gene_types) == (("XIST",), ("lncRNA",))


def test_a_tissue_of_one_row_has_no_z_score(tmp_path: Path) -> None:
    write(tmp_path, gct(), slides={name: SLIDES[name] for name in ("l-a", "c-a", "l-b")})
    cohort = read(tmp_path)
    assert cohort.patients == ("GTEX-AAAA:Lung", "GTEX-BBBB:Lung")
    said = reasons(cohort)
    assert said["patient GTEX-AAAA:Colon"] == "the only one of its tissue, so without a z-score"
    assert said["slide c-a"] == "the only one of its tissue, so without a z-score"
    assert said["sample GTEX-CCCC-0001-SM-1"] == "no slide of GTEX-CCCC:Colon"


def test_slides_without_a_tissue(tmp_path: Path) -> None:
    """A donor of one tissue needs no column for it; a donor of two does."""
    samples = {name: SAMPLES[name] for name in list(SAMPLES) if name.startswith(("GTEX-AAAA-0001", "GTEX-BBBB"))}
    slides = {"l-a": ("GTEX-AAAA", ""), "l-b": ("GTEX-BBBB", ""), "none": ("GTEX-QQQQ", "")}
    write(tmp_path, gct(samples), slides=slides)
    cohort = read(tmp_path)
    assert cohort.patients == ("GTEX-AAAA:Lung", "GTEX-BBBB:Lung")
    assert reasons(cohort)["slide none"] == "no expression of patient GTEX-QQQQ"
    write(tmp_path, gct(), slides=slides)
    with pytest.raises(UserError, match="slide l-a of GTEX-AAAA may be of Colon or Lung; expected a column tissue"):
        read(tmp_path)


def test_many_genes_are_read_in_blocks(tmp_path: Path) -> None:
    genes = [(f"ENSG{k}.1", f"G{k:05d}") for k in range(4500)]
    rng = np.random.default_rng(0)
    samples = {sample: (tissue, rng.random(4500).round(3).tolist()) for sample, (tissue, _) in SAMPLES.items()}
    write(tmp_path, gct(samples, genes))
    cohort = read(tmp_path, gene_rule="all")
    lung = np.log2(np.array([samples[f"GTEX-{donor}-0001-SM-1"][1] for donor in ("AAAA", "BBBB")]) + 1)
    expected = (lung - lung.mean(axis=0)) / np.where(np.ptp(lung, axis=0) > 0, lung.std(axis=0), 1)
    assert cohort.genes == tuple(symbol for _, symbol in genes)
    np.testing.assert_allclose(cohort.expression[[1, 2]], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("#1.2", "#1.3"), "no GCT table"),
        (lambda text: text.replace("4\t7", "5\t7"), "4 genes, 4 different; expected 5, each once"),
        (lambda text: text.replace("4\t7", "3\t7"), "4 genes, 4 different; expected 3"),
        (lambda text: text.replace("4\t7", "4\t8"), "7 different samples; expected 8"),
        (lambda text: text.replace("ENSG2.1", "ENSG1.1"), "4 genes, 3 different"),
        (lambda text: text.replace("\t7.0\t", "\t-7.0\t"), r"GTEX-AAAA-0002-SM-1: expression of ENSG1\.1 is -7"),
        (lambda text: text.replace("\t7.0\t", "\tmany\t"), "damaged"),
        (lambda text: text.replace("\t7.0\t", "\t\t"), r"expression of ENSG1\.1 is nan"),
        (lambda text: text.replace("GTEX-AAAA-0002-SM-1", "GTEX-NEW-1"), "1 samples .* missing, first GTEX-NEW-1"),
    ],
)
def test_bad_tables_get_one_clear_line(tmp_path: Path, damage: object, says: str) -> None:
    write(tmp_path, damage(gct()))  # type: ignore[operator]
    with pytest.raises(UserError, match=says):
        read(tmp_path)


def test_truncated_and_missing_tables(tmp_path: Path) -> None:
    write(tmp_path, gct(), name="tpm.gct.gz")
    path = tmp_path / "tpm.gct.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"tpm\.gct\.gz: damaged"):
        read(tmp_path, "tpm.gct.gz")
    with pytest.raises(UserError, match="no such table"):
        read(tmp_path, "other.gct")


def test_no_slide_of_any_wanted_tissue(tmp_path: Path) -> None:
    write(tmp_path, gct(), slides={"b-c": SLIDES["b-c"]})
    with pytest.raises(UserError, match="no slide of Colon, Lung with expression"):
        read(tmp_path)


def test_z_scores_by_hand_and_by_scipy() -> None:
    from scipy.stats import zscore

    values = np.array([[1.0, 5], [2, 5], [3, 5], [10, 1], [30, 2]], dtype=np.float32)
    tissue = ["a", "a", "a", "b", "b"]
    scores = zscore_within(values, tissue)
    root = np.sqrt(1.5)
    assert scores == pytest.approx(np.array([[-root, 0], [0, 0], [root, 0], [-1, -1], [1, 1]]), abs=1e-6)
    assert scores[3:] == pytest.approx(zscore(values[3:], axis=0), abs=1e-6)
    with pytest.raises(UserError, match="4 tissues for 5 rows"):
        zscore_within(values, tissue[:4])


def test_equal_values_that_round_badly_are_constant() -> None:
    values = np.full((7, 1), 0.1, dtype=np.float32)
    assert zscore_within(values, ["a"] * 7).tolist() == [[0.0]] * 7


@settings(max_examples=40, deadline=None)
@given(
    values=hnp.arrays(np.float32, (8, 3), elements=st.integers(0, 20).map(float)),
    shift=st.integers(-5, 5),
    scale=st.sampled_from([0.5, 2.0, 4.0]),
)
def test_z_scores_have_mean_0_and_sd_1_whatever_a_tissues_scale(values: np.ndarray, shift: int, scale: float) -> None:
    tissue = ["a", "b"] * 4
    scores = zscore_within(values, tissue)
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        assert scores[rows].mean(axis=0) == pytest.approx(0, abs=1e-5)
        varies = np.ptp(values[rows], axis=0) > 0
        assert scores[rows].std(axis=0) == pytest.approx(varies.astype(float), abs=1e-5)
    moved = values.copy()
    moved[::2] = moved[::2] * np.float32(scale) + shift
    assert zscore_within(moved, tissue) == pytest.approx(scores, abs=1e-4)
