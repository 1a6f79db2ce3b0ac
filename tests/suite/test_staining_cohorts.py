"""Faults of a cohort of paired patches, each planted in a copy of the tree: refused, or counted by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from protocols.errors import UserError
from protocols.phantom.ihc import generate_ihc
from protocols.splits import read_split
from protocols.staining.splits import patient_folds
from protocols.staining.store import IhcStore
from protocols.staining.task import TASK
from suite.engine.ask import run_ask
from suite.engine.inputs import run_inputs
from suite.engine.predict import cells_of, predict_cells
from suite.engine.questions import opened
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.places import (
    COHORTS,
    audit_folder,
    split_folder,
)
from tests.protocols.staining.trees import stored as stored_tree
from tests.suite.engine_run import run_all, the_run, write_params
from tests.suite.staining_run import (
    COHORTS_OF,
    PROTOCOL,
    TINY,
    record,
    values,
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tree with its folds; nothing is fitted."""
    folder = tmp_path_factory.mktemp("checkout")
    generate_ihc(folder / "data", TINY, seed=0)
    write_params(folder, values({"jitter": COHORTS_OF["jitter"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_read(the_run())
        run_ask(the_run())
        yield folder


@pytest.fixture
def copied(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A checkout of its own with one cohort, whose tree may be spoilt."""
    shutil.copytree(checkout / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, values({"jitter": COHORTS_OF["jitter"]}))
    return the_run()


def patches(side: str, marker: str = "ER") -> list[Path]:
    return sorted((Path("data/jitter/Images") / side / marker).rglob("*.jpg"))


def store_of(run: Run, name: str = "jitter") -> IhcStore:
    store: IhcStore = opened(TASK, run.requests("staining")[name]).store
    return store


def in_other_roles(checkout: Path) -> tuple[int, int]:
    """Two ER patches, by their place among the sorted files, that a fold puts in different roles."""
    split, _ = read_split(checkout / split_folder(PROTOCOL, "jitter"))
    store = IhcStore(checkout / COHORTS / "staining" / "jitter", checkout / "data" / "jitter")
    names = [path.stem for path in sorted((checkout / "data/jitter/Images/HandE/ER").rglob("*.jpg"))]
    first, second = (store.rows_of("ER", rows)[0] for rows in (split.folds[0].train, split.folds[0].test))
    return names.index(str(store.name_of[first])), names.index(str(store.name_of[second]))


def test_an_image_copied_to_another_patient_stops_the_run(checkout: Path, copied: Run) -> None:
    one, other = in_other_roles(checkout)
    shutil.copyfile(patches("HandE")[one], patches("HandE")[other])
    run_read(copied)
    with pytest.raises(
        UserError, match=r"no scan of two people, by bytes: H&E of ER patch .* has the bytes of H&E of ER"
    ):
        run_ask(copied)
    audit = json.loads((audit_folder(PROTOCOL, "jitter") / "audit.json").read_text())  # the whole report is there
    assert audit["verdict"] == "fail"
    assert {finding["check"] for finding in audit["findings"] if finding["verdict"] == "fail"} == {
        "no scan of two people, by bytes", "no scan of two people, by pixels", "no look-alike image of two people",
    }  # fmt: skip


def test_a_copy_of_other_bytes_stops_it_by_look(checkout: Path, copied: Run) -> None:
    one, other = in_other_roles(checkout)
    with Image.open(patches("HandE")[one]) as image:
        image.save(patches("HandE")[other], quality=60)
    run_read(copied)
    with pytest.raises(UserError, match="no look-alike image of two people"):
        run_ask(copied)


def resaved(path: Path, pixels: np.ndarray[Any, Any], mode: str | None = None) -> None:
    path.unlink()
    Image.fromarray(pixels, mode).save(path.with_suffix(".png"))


def spoil_patches() -> dict[str, str]:
    """One fault a patch; returns the reason that each must be given, by name."""
    he, ihc_side = patches("HandE"), patches("IHC")
    pixels = [np.asarray(Image.open(path)) for path in he]
    names = [path.stem for path in he]
    clear = np.dstack([pixels[2], np.full(pixels[2].shape[:2], 128, np.uint8)])
    ihc_side[0].unlink()
    resaved(he[2], clear)
    import cv2

    deep = he[4].with_suffix(".png")
    cv2.imwrite(str(deep), pixels[4].astype(np.uint16) * 257)
    he[4].unlink()
    return {names[0]: "no IHC partner", names[2]: "transparent image", names[4]: "16-bit image"}


def test_unusable_patches_are_counted_by_name(copied: Run, capsys: pytest.CaptureFixture[str]) -> None:
    expected = spoil_patches()
    run_read(copied)
    told = capsys.readouterr().out
    run_ask(copied)
    store = store_of(copied)
    found = {item.what.split()[2]: item.reason for item in store.excluded}
    assert found == expected
    for reason in expected.values():
        assert f"left out: 1 patches: {reason}" in told
    audit = json.loads((audit_folder(PROTOCOL, "jitter") / "audit.json").read_text())
    assert {item["reason"] for item in audit["excluded"]} == set(expected.values())
    assert len(store.rows_of("ER")) == 10 - 3


def test_more_of_them(copied: Run) -> None:
    he, ihc_side = patches("HandE"), patches("IHC")
    pixels = np.asarray(Image.open(he[0]))
    resaved(ihc_side[0], pixels[:40])
    he[2].write_bytes(he[2].read_bytes()[:900])
    resaved(ihc_side[4], np.full_like(pixels, 255))
    opaque = np.dstack([np.asarray(Image.open(ihc_side[5])), np.full(pixels.shape[:2], 255, np.uint8)])
    resaved(ihc_side[5], opaque)  # hides nothing: used
    table = Path("data/jitter/Labels/ER.csv")
    last = he[-1].stem.split("_")[1]
    table.write_text("".join(line for line in table.read_text().splitlines(True) if last not in line))
    run_read(copied)
    store = store_of(copied)
    found = {item.what.split()[2]: item.reason for item in store.excluded}
    assert found == {
        he[0].stem: "H&E and IHC differ in size",
        he[2].stem: "image damaged",
        he[4].stem: "blank patch",
        he[-2].stem: "patient missing from labels",
        he[-1].stem: "patient missing from labels",
    }
    assert he[5].stem in store.name_of[store.rows_of("ER")].tolist()
    assert len(store.patients) == 4


def test_too_few_patients_to_train_stop_and_test_is_one_line(tmp_path: Path) -> None:
    """Of three, a half of two would leave one: none to stop on."""
    store = stored_tree(tmp_path)  # three patients
    with pytest.raises(UserError, match=r"3 patients of ER for 2 folds.*4 for 2 folds"):
        patient_folds(store, folds=2)
    assert len(patient_folds(store, folds=3).folds) == 3


def test_patches_of_nobody_known_are_named_and_no_patient(copied: Run, tmp_path: Path) -> None:
    """Of the PR patient with the last name, whose case becomes "unknown" in folders, names and labels."""
    case = patches("HandE", "PR")[-1].stem.split("_")[1]
    for path in sorted(Path("data/jitter/Images").rglob("*.jpg")):
        if f"_{case}_" in path.name:
            to = Path(*(part.replace(case, "unknown") for part in path.parts))
            to.parent.mkdir(parents=True, exist_ok=True)
            path.rename(to)
    for table in Path("data/jitter/Labels").glob("*.csv"):
        table.write_text(table.read_text().replace(f"_{case}_", "_unknown_"))
    alone = {key: value for key, value in COHORTS_OF["jitter"].items() if key != "aligned"} | {"markers": ["ER"]}
    write_params(tmp_path, values({"jitter": alone}, models=["ihc_identity"]))
    run_all()
    made = record("ihc_identity", "jitter_ER")
    assert made.headline.n_patients == made.cohort["n_patients"] == 4
    assert {item["reason"] for item in made.excluded} == {"patient unknown"}
    assert len(made.excluded) == 2


def test_a_cohort_without_its_folder_is_one_line(copied: Run, tmp_path: Path) -> None:
    write_params(tmp_path, values({"exact": {**COHORTS_OF["exact"], "root": "nowhere"}}))
    with pytest.raises(UserError, match=r"no such file or folder.*cohorts\.staining\.exact\.root"):
        run_read(the_run())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"markers": ["ERR"]}, r"unknown marker 'ERR'.*did you mean 'ER'"),
        ({"mpp": None}, "mpp"),
        ({"mpp": 0}, "mpp"),
        ({"filters": {"max_boarder": 0.1}}, r"unknown key 'max_boarder'.*did you mean 'max_border'"),
        ({"settings": {"tile_px": 128}}, "no patch of jitter is 128 px wide and high"),
        ({"settings": {"tile_px": 64, "source_px": 32}}, "no enlargement"),
    ],
)
def test_a_wrong_entry_is_one_line(copied: Run, tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    told = values()
    told["cohorts"] = {"staining": {"jitter": {"mpp": 1.0, **COHORTS_OF["jitter"], **entry}}}
    write_params(tmp_path, told)
    with pytest.raises(UserError, match=message) as caught:
        run_read(the_run())
    assert "\n" not in str(caught.value)


def test_a_twin_that_lacks_an_image_is_named_by_whoever_reads_it(copied: Run) -> None:
    run_read(copied)
    run_ask(copied)
    gone = sorted(Path("data/exact/Images/IHC/ER").rglob("*.jpg"))[0]
    gone.unlink()
    predict_cells(copied, cells_of(copied, run_inputs(copied), ("ihc_identity",)))
    with pytest.raises(UserError, match=f"{gone.name}: the image is gone"):
        predict_cells(copied, cells_of(copied, run_inputs(copied), ("ihc_oracle",)))
