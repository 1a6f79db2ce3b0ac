from __future__ import annotations

from pathlib import Path

import pytest

from protocols.errors import UserError
from protocols.readers.manifest import read_manifest
from protocols.readers.readers import manifest_columns, read_slide, slide_reader
from protocols.registry import reader_modules

HEADER = "slide,patient,cancer,counts,spots,image,mpp\n"


@pytest.fixture
def root(tmp_path):
    for name in ("c.tsv", "s.tsv", "i.png"):
        (tmp_path / name).write_text("x")
    return tmp_path


def manifest(root, text):
    (root / "slides.csv").write_text(text, encoding="utf-8")
    return read_manifest(root / "slides.csv", root, "spot_table")


def test_rows_become_entries_in_order(root):
    first, second = manifest(root, HEADER + "b,P1,breast,c.tsv,s.tsv,i.png,0.5\na,,colon,c.tsv,s.tsv,i.png,\n")
    assert (first.slide, first.patient, first.cancer) == ("b", "P1", "breast")
    assert first.files == {"counts": "c.tsv", "spots": "s.tsv", "image": "i.png"}
    assert first.options == {"mpp": "0.5"}
    assert second.patient is None
    assert second.options == {}


def test_a_byte_order_mark_and_the_word_unknown_are_understood(root):
    (entry,) = manifest(root, "\ufeff" + HEADER + "b,Unknown,breast,c.tsv,s.tsv,i.png,\n")
    assert entry.patient is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace("mpp", "mppp") + "a,P,b,c.tsv,s.tsv,i.png,1\n", "did you mean 'mpp'"),
        (HEADER.replace("patient", "patience") + "a,P,b,c.tsv,s.tsv,i.png,1\n", "did you mean 'patient'"),
        (HEADER.replace("counts,", "") + "a,P,b,s.tsv,i.png,1\n", "'counts' occurs 0 times"),
        (HEADER.replace("mpp", "image") + "a,P,b,c.tsv,s.tsv,i.png,i.png\n", "'image' occurs 2 times"),
        (HEADER, "no slides"),
        (HEADER + "a,P,b,c.tsv,s.tsv,i.png,1\na,P,b,c.tsv,s.tsv,i.png,1\n", "'a' occurs twice"),
        (HEADER + "a,P,b,gone.tsv,s.tsv,i.png,1\n", "counts 'gone.tsv' is missing"),
        (HEADER + "a,P,b,,s.tsv,i.png,1\n", "counts is empty"),
        (HEADER + ",P,b,c.tsv,s.tsv,i.png,1\n", "slide is empty"),
        (HEADER + "a,P,b,c.tsv,s.tsv\n", "fewer cells"),
        (HEADER + "a,P,b,c.tsv,s.tsv,i.png,1,2\n", "more or fewer cells"),
        (HEADER + "a,P,b,/c.tsv,s.tsv,i.png,1\n", "no relative path"),
        ("", "occurs 0 times"),
    ],
)
def test_bad_manifests_get_one_clear_line(root, text, message):
    with pytest.raises(UserError, match=message) as caught:
        manifest(root, text)
    assert "\n" not in str(caught.value)
    assert "slides.csv" in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv"):
        read_manifest(tmp_path / "gone.csv", tmp_path, "xenium")


def test_an_unknown_reader_gets_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'xenium'"):
        slide_reader("xenum")


@pytest.mark.parametrize("name", sorted(reader_modules("expression")))
def test_every_reader_of_the_table_exists_and_has_distinct_columns(name):
    reader = slide_reader(name)
    assert callable(reader.read.load())
    assert len(set(manifest_columns(reader))) == len(manifest_columns(reader))


def test_the_guide_names_every_reader_and_every_column():
    guide = (Path(__file__).parents[3] / "docs" / "cohorts.md").read_text(encoding="utf-8")
    for name in reader_modules("expression"):
        spec = slide_reader(name)
        section = guide.split(f"### `{spec.name}`")[1].split("###")[0]
        for column in (*spec.columns, *spec.optional_columns, *spec.option_columns):
            assert f"`{column}`" in section or column == "max_outside", (spec.name, column)


def test_read_slide_refuses_an_option_that_nothing_reads(root):
    (entry,) = manifest(root, HEADER + "b,P1,breast,c.tsv,s.tsv,i.png,0.5\n")
    entry.options["pixelscale"] = "2"
    with pytest.raises(UserError, match="did you mean 'pixel_scale'"):
        read_slide("spot_table", entry, root)


@pytest.mark.parametrize("name", ["hex", "cell_table", "protein_h5ad", "multiplex_image"])
def test_the_guides_manifests_of_proteins_are_read(tmp_path, name):
    guide = (Path(__file__).parents[3] / "docs" / "cohorts.md").read_text(encoding="utf-8")
    text = guide.split(f"### `{name}`")[1].split("###")[0].split("```csv\n")[1].split("```")[0]
    spec = slide_reader(name)
    rows = [line.split(",") for line in text.splitlines()]
    for row in rows[1:]:
        for column, cell in zip(rows[0], row, strict=True):
            if column in (*spec.columns, *spec.optional_columns):
                (tmp_path / cell).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / cell).touch()
    (tmp_path / "slides.csv").write_text(text)
    assert len(read_manifest(tmp_path / "slides.csv", tmp_path, name)) == len(rows) - 1
