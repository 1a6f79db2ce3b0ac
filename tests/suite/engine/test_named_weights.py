"""Every model that takes weights, through the stages: a published file under ``weights`` changes what it answers and
stands in its record by its hash. Which models those are, and which parts, is computed from their cards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from baselines.encoders.table import ENCODERS
from baselines.registry import built_in, load_model_class
from past_model.settings import MINI, PROFILES
from protocols.contract import Card
from protocols.manifest import MANIFEST_FILE
from protocols.records import ScoreRecord
from suite.config import Config
from suite.engine.plan import run_plan
from suite.engine.run import Run
from suite.places import answers_folder, score_folder
from tests.published import PUBLISHED, write_published
from tests.suite.engine.small_run import part_of
from tests.suite.engine_run import params, run_all

PROTOCOL = {
    "expression": "intra_patient",
    "survival": "tcga_survival",
    "bulk": "tcga_expression",
    "staining": "ihc4bc",
}
_ENCODER = ENCODERS["past"].mini.kwargs
ONE_FILE = replace(
    MINI, image_pixels=_ENCODER["img_size"], patch_pixels=_ENCODER["patch_size"], image_dim=_ENCODER["embed_dim"],
    image_depth=_ENCODER["depth"], image_heads=_ENCODER["num_heads"],
)  # fmt: skip
"""PAST's profile mini with the encoder table's image encoder, as in full: one file fits every model that reads it."""


def cards() -> dict[str, Card]:
    found = {name: load_model_class(name, {}, Path()).card for name in built_in()}
    return {name: card for name, card in found.items() if card.parts}


CARDS = cards()
ALL, UNI_ALONE, NONE = "all", "uni alone", "none"
"""Runs: with every part that a card names; with UNI's, from which PAST starts without a checkpoint; with none."""


def starts() -> list[tuple[str, str, str]]:
    """(model, part, run): every part of every card, in the run where the model loads it."""
    found = []
    for name, card in CARDS.items():
        for part in card.parts:
            replaced = bool(card.checkpoints) and part not in (*card.checkpoints, card.encoder)
            found.append((name, part, UNI_ALONE if replaced else ALL))
    return found


STARTS = starts()


@dataclass(frozen=True)
class Runs:
    """Working folders of the finished runs, by the parts that they were given."""

    folders: dict[str, Path]
    weights: dict[str, dict[str, str]]

    def answers(self, run: str, model: str) -> dict[str, str]:
        """Hashes of the files of a model's answers."""
        folder = next(self.folders[run].glob(str(answers_folder(PROTOCOL[CARDS[model].task], "*", model, 0))))
        apart = (MANIFEST_FILE, "seal.json")
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in apart)
        assert files
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def record(self, run: str, model: str) -> ScoreRecord:
        folder = next(self.folders[run].glob(str(score_folder(PROTOCOL[CARDS[model].task], "*", model, 0))))
        return ScoreRecord.read(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("weights")
    weights = {part: write_published(part, folder / "files") for part in PUBLISHED}
    told = {ALL: weights, UNI_ALONE: {"uni": weights["uni"]}, NONE: {}}
    models = {ALL: list(CARDS), NONE: list(CARDS)}
    models[UNI_ALONE] = [name for name, _, run in STARTS if run == UNI_ALONE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "mini", ONE_FILE)
        for name, given in told.items():
            (folder / name).mkdir()
            patch.chdir(folder / name)
            run = Run(Config.model_validate(values(folder, models[name], given)))
            run_plan(run)
            run_all(run)
        yield Runs({name: folder / name for name in told}, weights)


def values(folder: Path, models: list[str], weights: dict[str, Any]) -> dict[str, Any]:
    """A small cohort of each task that the models answer, every training capped at one update."""
    merged = params(models=models, weights=weights, most_steps=1, protocols=[], cohorts={}, tasks={})
    for task in dict.fromkeys(CARDS[name].task for name in models):
        place = folder / "data" / f"{task}.json"
        if not place.is_file():
            place.parent.mkdir(exist_ok=True)
            place.write_text(json.dumps(part_of(task).write(place.with_suffix(""))), encoding="utf-8")
        told = json.loads(place.read_text(encoding="utf-8").replace(f'"{task}/', f'"{place.with_suffix("")}/'))
        merged["protocols"].append(PROTOCOL[task])
        merged["cohorts"][task], merged["tasks"][task] = told["cohorts"][task], told["tasks"][task]
    return merged


@pytest.mark.parametrize(("model", "part", "run"), STARTS, ids=[f"{model}-{part}" for model, part, _ in STARTS])
def test_a_named_file_changes_the_answers_and_stands_in_the_record(runs: Runs, model: str, part: str, run: str) -> None:
    told = [one for one in runs.record(run, model).weights if one["sha256"] == runs.weights[part]["sha256"]]
    assert told, f"{part} is not in {runs.record(run, model).weights}"
    assert {one["source"] for one in told} == {Path(runs.weights[part]["path"]).name}
    assert runs.answers(run, model) != runs.answers(NONE, model)
