"""The cases that once passed every check, as their files: each now stops the run before anything is fitted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.findings import read_audit
from protocols.identity.evidence import read_evidence
from protocols.identity.findings import BYTES, LOOK, ONE_ID, OTHER_PEOPLE, PIXELS, VALUES, Looked, identity_findings
from protocols.identity.matches import Held, look_alikes
from protocols.phantom.ihc import generate_ihc
from protocols.splits import Split
from suite.engine.ask import run_ask
from suite.engine.identity import evidence_folder
from suite.engine.questions import opened
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.places import audit_folder
from tests.suite.engine.small import staining
from tests.suite.engine.small_run import SmallRun
from tests.suite.engine.test_identity_matrix import ALTERED, Pixels
from tests.suite.engine_run import params, the_run, write_params


def failed(run: Run, protocol: str, cohort: str) -> set[str]:
    run_read(run)
    with pytest.raises(UserError, match="expected a split without leaks"):
        run_ask(run)
    audit, _ = read_audit(audit_folder(protocol, cohort), failing=True)
    return {finding.check for finding in audit.failed}


def expression(small: SmallRun, slides: pd.DataFrame) -> Run:
    """The small run's cohort of slides with another manifest, asked between patients alone."""
    path = small.folder / "expression/data/slides.csv"
    path.unlink()
    slides.to_csv(path, index=False)
    return small.run(protocols=["inter_patient"], models=["train_mean"])


def test_one_bundle_listed_three_times_under_three_ids_of_one_person(small: SmallRun) -> None:
    slides = pd.read_csv(small.folder / "expression/data/slides.csv")
    again = pd.concat([slides.iloc[:1]] * 3, ignore_index=True)
    again["slide"] = ["a", "b", "c"]
    again["patient"] = ["TCGA-A1-A0SB-01A", "TCGA-A1-A0SB-11A", "tcga-a1-a0sb"]
    assert failed(expression(small, again), "inter_patient", "tiny") >= {ONE_ID}
    again["patient"] = ["P1", "P2", "P3"]
    assert failed(expression(small, again), "inter_patient", "tiny") == {
        BYTES, PIXELS, VALUES, LOOK,
    }  # fmt: skip


def test_a_copied_bundle_under_another_patient(small: SmallRun) -> None:
    slides = pd.read_csv(small.folder / "expression/data/slides.csv")
    root = small.folder / "expression/data"
    bundle = next(column for column in slides.columns if (root / str(slides[column].iloc[0])).is_dir())
    source = root / slides[bundle].iloc[0]
    target = source.with_name("copy-p9-s1")
    shutil.copytree(source, target)
    for path in list(target.iterdir()):
        path.rename(path.with_name(path.name.replace(source.name, target.name)))
    copy = slides.iloc[0].to_dict() | {"slide": "copy", "patient": "P9", bundle: target.relative_to(root).as_posix()}
    run = expression(small, pd.concat([slides, pd.DataFrame([copy])], ignore_index=True))
    assert failed(run, "inter_patient", "tiny") >= {BYTES, VALUES, LOOK}


def tidy(folder: Path, labels: list[str], seed: int) -> dict[str, str]:
    """A cohort of plain tables: outcome and forty genes; a person's are the same under every label."""
    people = sorted({label[:12] for label in labels})
    rng = np.random.default_rng(seed)
    genes = pd.DataFrame(rng.normal(size=(len(people), 40)), index=people, columns=[f"G{k}_rnaseq" for k in range(40)])
    outcome = pd.DataFrame(
        {"time": rng.exponential(30, len(people)) + 1, "event": rng.random(len(people)) < 0.5}, people
    )
    folder.mkdir()
    for name, table in (("outcome", outcome), ("genomic", genes)):
        table.loc[[label[:12] for label in labels]].set_axis(labels).rename_axis("patient").to_csv(
            folder / f"{name}.csv"
        )
    return {"reader": "tidy", "root": str(folder), "outcome": "outcome.csv", "genomic": "genomic.csv"}


def test_a_hundred_people_entered_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [f"TCGA-A{k % 7}-A{k:03d}" for k in range(100)]
    monkeypatch.chdir(tmp_path)
    for name, samples in (("barcodes", ("-01A", "-11A")), ("words", ("", " again"))):
        given = [f"{person}{sample}" for person in people for sample in samples]
        entry = tidy(tmp_path / name, given, 0)
        write_params(tmp_path, params(
            protocols=["tcga_survival"], models=[], cohorts={"survival": {name: entry}},
            tasks={"survival": {"folds": 5}},
        ))  # fmt: skip
        assert failed(the_run(), "tcga_survival", name) >= {ONE_ID}


def test_equal_genes_under_ids_of_different_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the ids say, and though follow-up goes on: the table itself is recognised."""
    monkeypatch.chdir(tmp_path)
    entry = tidy(tmp_path / "own", [f"TCGA-A1-A{k:03d}" for k in range(100)], 0)
    for name in ("outcome", "genomic"):
        path = tmp_path / "own" / f"{name}.csv"
        table = pd.read_csv(path, index_col=0)
        again = table.set_axis([f"TCGA-B2-B{k:03d}" for k in range(100)])
        if name == "outcome":
            again["time"] += 3.5
        pd.concat([table, again]).rename_axis("patient").to_csv(path)
    cohorts = {"survival": {"own": entry}}
    write_params(tmp_path, params(protocols=["tcga_survival"], models=[], cohorts=cohorts, tasks={}))
    assert failed(the_run(), "tcga_survival", "own") == {VALUES}
    audit, _ = read_audit(audit_folder("tcga_survival", "own"), failing=True)
    assert "100 in all" in {one.check: one.detail for one in audit.findings}[VALUES]


def test_different_people_may_be_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is stated per cohort; mending it reads nothing again."""
    monkeypatch.chdir(tmp_path)
    entry = tidy(tmp_path / "own", [f"pt{k:04d}{letter}pt" for k in range(60) for letter in "Aa"], 0)
    genes = pd.read_csv(tmp_path / "own/genomic.csv", index_col=0)
    genes[:] = np.random.default_rng(1).normal(size=genes.shape)
    genes.to_csv(tmp_path / "own/genomic.csv")
    cohorts = {"survival": {"own": entry}}
    write_params(tmp_path, params(protocols=["tcga_survival"], models=[], cohorts=cohorts, tasks={}))
    assert failed(the_run(), "tcga_survival", "own") == {ONE_ID}
    before = {path: path.stat().st_mtime_ns for path in Path("runs/cache/cohorts").rglob("*")}
    cohorts["survival"]["own"] = entry | {"persons": "exact"}
    write_params(tmp_path, params(protocols=["tcga_survival"], models=[], cohorts=cohorts, tasks={}))
    run_read(the_run())
    run_ask(the_run())
    assert {path: path.stat().st_mtime_ns for path in Path("runs/cache/cohorts").rglob("*")} == before


def test_people_of_a_cohort_under_twelve_characters_outside_it(small: SmallRun) -> None:
    """Thirty ids of fifteen people, and the same people as the external cohort."""
    run = small.run("bulk")
    cohort = opened(run.tasks["bulk"], run.requests("bulk")["phantom_gbm"])
    kept = read_evidence(evidence_folder(run, cohort))
    outside = replace(
        kept, items=tuple(replace(one, person=f"{one.person[:12].lower()}") for one in kept.items if one.person)
    )
    looked = Looked(
        (Held("own", kept, "auto"), Held("outside", outside, "auto")), Split(()), apart=[("own", "outside")]
    )
    told = {one.check: one for one in identity_findings(looked)}
    assert told[OTHER_PEOPLE].verdict == "fail"
    assert told[BYTES].verdict == "fail"


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    name: alter or (lambda pixels: pixels)
    for name, (alter, _) in ALTERED.items()
    if name != "the same pixels in another file"
}


def test_seven_copies_of_ihc_patients_under_new_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a real cohort, without a truth: each patient's patches again under another id, each altered in another way."""
    tiny = replace(staining.TINY, markers=(("ER", len(COPIES)),), columns=2, patch_px=96)
    generate_ihc(tmp_path / "data", tiny, seed=1)
    images = tmp_path / "data/exact/Images"
    folders = sorted(path for path in (images / "HandE/ER").iterdir() if path.is_dir())
    assert len(folders) == len(COPIES)
    expected = set()
    for number, (folder, alter) in enumerate(zip(folders, COPIES.values(), strict=True)):
        case = folder.name.split("_")[-1]
        new = f"9{number:03d}"
        expected.add(frozenset((case, new)))
        for side in ("HandE", "IHC"):
            for path in sorted((images / side / "ER" / folder.name).rglob("*.*")):
                target = Path(str(path).replace(f"_{case}", f"_{new}"))
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_of(path, target, alter)
    entry = {"root": str(tmp_path / "data/exact"), "markers": ["ER"], "mpp": 1.0, "labels": None, "filters": {}}
    told = {"folds": 2, "tile_px": 32, "shift_px": 1}
    write_params(tmp_path, params(
        protocols=["ihc4bc"], models=[], cohorts={"staining": {"real": entry}}, tasks={"staining": told}
    ))  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run = the_run()
    assert LOOK in failed(run, "ihc4bc", "real")
    cohort = opened(run.tasks["staining"], run.requests("staining")["real"])
    held = (Held("real", read_evidence(evidence_folder(run, cohort)), "auto"),)
    pairs = look_alikes(held, [0], within=False)
    named = {frozenset(str(held[0].items[at.item].person) for at in (pair.one, pair.other)) for pair in pairs}
    assert named == expected, "all seven, and no others"


def copy_of(path: Path, target: Path, alter: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
    if path.suffix not in (".png", ".jpg"):
        shutil.copyfile(path, target)
        return
    pixels = np.asarray(cv2.imread(str(path)), dtype=np.uint8)
    cv2.imwrite(str(target), np.ascontiguousarray(alter(pixels[..., ::-1]))[..., ::-1])
