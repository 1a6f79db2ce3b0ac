"""Stored cohorts come back whole, their hash covers everything, and no view of slides leads to expression."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from protocols.bulk.cohort import BulkCohort, checked
from protocols.bulk.contract import GroupedBy, SlideInputs, SlideTraining, SuperTiles
from protocols.bulk.store import COHORT_FILE, BulkStore, write_bulk_store
from protocols.bulk.views import SlideTrainingView, SlideView
from protocols.contract import RowArray, Settings
from protocols.errors import UserError
from protocols.splits import Exclusion, Fold
from protocols.survival.cohort import SlideFile
from tests.cohorts import folder_hash

PLACES, WIDTH = 4, 3


def cohort(root: Path, **changes: object) -> BulkCohort:
    """Patients a (slides 1, 3), b (slide 2) and c (slide 0); expression is 10 * patient + gene."""
    slides = []
    for number, patient in enumerate("caba"):
        (root / f"{number}.tif").write_bytes(b"slide %d" % number)
        slides.append(SlideFile(f"s{number}", patient, f"{number}.tif"))
    made = BulkCohort(
        name="made up",
        patients=("a", "b", "c"),
        genes=("G0", "G1"),
        gene_types=("lncRNA", "miRNA"),
        expression=np.array([[0, 1], [10, 11], [20, 21]], np.float32),
        slides=tuple(slides),
        excluded=(Exclusion("patient z", "no slide"),),
    )
    return checked(replace(made, **changes))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> BulkStore:
    return write_bulk_store(tmp_path / "store", cohort(tmp_path), phantom=True, root=tmp_path)


def test_a_cohort_comes_back_whole(store: BulkStore) -> None:
    found = BulkStore(store.folder)
    assert (found.name, found.phantom, found.patients, found.tissue) == ("made up", True, ("a", "b", "c"), None)
    assert [slide.slide for slide in found.slides] == ["s1", "s3", "s2", "s0"], "slides by patient, then name"
    assert found.slide_patient.tolist() == [0, 0, 1, 2]
    assert found.slides_of(np.array([0, 2])).tolist() == [0, 1, 3]
    assert found.slides_of(np.array([], dtype=np.int64)).tolist() == []
    assert found.excluded == (Exclusion("patient z", "no slide"),)
    values = found.expression(found.slide_patient, ("G1",))
    assert values.dtype == np.float32
    assert values[:, 0].tolist() == [1, 1, 11, 21], "slides of a patient share a row"
    assert found.columns(("G1", "G0")).tolist() == [1, 0]
    assert len(set(found.slide_hashes)) == 4


def test_the_hash_covers_values_names_and_the_bytes_of_slides(store: BulkStore, tmp_path: Path) -> None:
    again = write_bulk_store(tmp_path / "again", cohort(tmp_path), phantom=True, root=tmp_path)
    assert folder_hash(again.folder) == folder_hash(store.folder)
    other = cohort(tmp_path).expression.copy()
    other[1, 1] += 1e-5
    values = write_bulk_store(tmp_path / "v", cohort(tmp_path, expression=other), phantom=True, root=tmp_path)
    genes = write_bulk_store(tmp_path / "g", cohort(tmp_path, genes=("G0", "G2")), phantom=True, root=tmp_path)
    real = write_bulk_store(tmp_path / "r", cohort(tmp_path), phantom=False, root=tmp_path)
    made = cohort(tmp_path)
    (tmp_path / "2.tif").write_bytes(b"another slide")
    image = write_bulk_store(tmp_path / "i", made, phantom=True, root=tmp_path)
    assert (
        len(
            {
                folder_hash(store.folder),
                folder_hash(values.folder),
                folder_hash(genes.folder),
                folder_hash(real.folder),
                folder_hash(image.folder),
            }
        )
        == 5
    )


def test_a_cohort_that_cannot_be_stored_is_none(tmp_path: Path) -> None:
    gone = cohort(tmp_path)
    (tmp_path / "0.tif").unlink()
    with pytest.raises(FileNotFoundError):
        write_bulk_store(tmp_path / "new", gone, phantom=True, root=tmp_path)
    assert not (tmp_path / "new" / COHORT_FILE).exists()
    with pytest.raises(UserError, match=r"no cohort here.*dvc repro read"):
        BulkStore(tmp_path / "new")


def view(rows: list[int], **changes: object) -> SlideView:
    """Slide ``k`` has features of value ``k``; those grouped by coordinates are negative."""

    def read(of: RowArray, grouped_by: GroupedBy) -> SuperTiles:
        sign = 1 if grouped_by == "features" else -1
        features = sign * np.ones((len(of), PLACES, WIDTH), np.float32) * of[:, None, None]
        return SuperTiles(features.astype(np.float32), np.ones((len(of), PLACES), bool))

    parts = {
        "rows": np.array(rows, dtype=np.int64),
        "genes": ("G0", "G1"),
        "slide": np.array([f"s{row}" for row in rows]),
        "patient": np.array(["p"] * len(rows)),
        "settings": Settings(threads=1),
        "places": PLACES,
        "width": WIDTH,
        "super_tile_reader": read,
        "mean_reader": lambda of: np.repeat(of[:, None], WIDTH, axis=1).astype(np.float32),
    }
    return SlideView(**{**parts, **changes})  # type: ignore[arg-type]


def test_rows_of_a_view_are_its_own() -> None:
    shown = view([7, 3, 9])
    assert isinstance(shown, SlideView)
    inputs: SlideInputs = shown
    assert len(inputs) == 3
    assert inputs.super_tiles().features[:, 0, 0].tolist() == [7, 3, 9]
    assert inputs.super_tiles(np.array([2, 0])).features[:, 0, 0].tolist() == [9, 7]
    assert inputs.super_tiles(np.array([1]), grouped_by="coordinates").features[0, 0, 0] == -3
    assert inputs.mean_feature()[:, 0].tolist() == [7, 3, 9]
    with pytest.raises(UserError, match="grouped by 'place'"):
        inputs.super_tiles(grouped_by="place")  # type: ignore[arg-type]


def test_without_an_encoder_or_a_truth_there_is_nothing_to_read() -> None:
    bare = view([0], super_tile_reader=None, mean_reader=None)
    for ask in (bare.super_tiles, bare.mean_feature):
        with pytest.raises(UserError, match="without an encoder"):
            ask()
    with pytest.raises(UserError, match="without a known truth"):
        view([0]).oracle()
    assert view([4], oracle_reader=lambda of, genes: np.full((len(of), len(genes)), 2.0)).oracle().shape == (1, 2)


def test_the_suites_views_hold_no_expression_but_in_training(store: BulkStore) -> None:
    """Everything a test view holds is looked through, the readers' own closures with it."""
    from protocols.bulk.view_makers import SlideViews

    views = SlideViews(store, Settings(threads=1), PLACES, None, None)
    asked = views.inputs(np.array([0, 2]), store.genes)
    assert not {"targets", "validation"} & {field.name for field in fields(asked)}
    assert all(getattr(asked, name) is None for name in ("super_tile_reader", "mean_reader", "oracle_reader"))
    assert asked.patient.tolist() == ["a", "b"]
    assert "_expression" not in vars(store), "test views are built without a look at expression"
    fold = Fold("0", "0", np.array([0]), np.array([2]), validation=np.array([1]))
    training = views.training(fold)
    learned: SlideTraining = training
    assert isinstance(training, SlideTrainingView)
    assert learned.targets.tolist() == [[0, 1], [0, 1], [10, 11]]
    assert learned.validation.tolist() == [False, False, True]
    assert learned.slide.tolist() == ["s1", "s3", "s2"], "the tested patient's slide is not among them"
    every = views.all_training()
    assert len(every) == 4
    assert not every.validation.any()
