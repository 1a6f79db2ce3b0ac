"""Every model that takes weights, through the stages: a published file under ``weights`` changes what it answers and
stands in its record by its hash. Which models those are, and which parts, is computed from their cards."""

from __future__ import annotations

import hashlib
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
from suite.engine.ask import run_ask
from suite.engine.plan import run_plan
from suite.engine.predict import run_predict
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.score import run_score
from suite.places import answers_folder, score_folder
from tests.published import PUBLISHED, write_published
from tests.suite.bulk_run import COHORT
from tests.suite.engine.small_run import SmallRun

PROTOCOL = {
    "expression": "intra_patient",
    "survival": "tcga_survival",
    "bulk": "tcga_expression",
    "staining": "ihc4bc",
    "response": "response",
}
_ENCODER = ENCODERS["past"].mini.kwargs
ONE_FILE = replace(
    MINI, image_pixels=_ENCODER["img_size"], patch_pixels=_ENCODER["patch_size"], image_dim=_ENCODER["embed_dim"],
    image_depth=_ENCODER["depth"], image_heads=_ENCODER["num_heads"],
)  # fmt: skip
"""PAST's profile mini with the encoder table's image encoder, as in full: one file fits every model that reads it."""


def cards() -> dict[str, Card]:
    """Less models that answer with published weights alone: those are of certain patients (``test_bulk_pipeline``)."""
    found = {name: load_model_class(name, {}, Path()).card for name in built_in()}
    return {name: card for name, card in found.items() if card.parts and "weights" not in card.needs}


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


def of_each_kind() -> set[str]:
    """Models that differ in how weights reach them: one of each encoder, task and hook. The others are asked too, in
    the long tests."""
    seen: set[object] = set()
    found = set()
    for name, card in CARDS.items():
        hook = getattr(load_model_class(name, {}, Path()), "load_weights", None)
        kinds = {card.task, card.encoder, getattr(hook, "__func__", None)} - {None}
        if kinds - seen:
            found.add(name)
            seen |= kinds
    return found


FEW = of_each_kind()


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
def few(finished: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return runs_of(FEW, finished, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def rest(finished: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return runs_of(set(CARDS) - FEW, finished, tmp_path_factory.mktemp("rest"))


def runs_of(models: set[str], small: SmallRun, folder: Path) -> Runs:
    """Plan and stages of each run, on the small run's cohorts; scores where weights are named, for their records."""
    asked = [one for one in STARTS if one[0] in models]
    weights = {part: write_published(part, folder / "files") for part in PUBLISHED}
    told = {run: {part: weights[part] for _, part, of in asked if of == run} for run in (ALL, UNI_ALONE, NONE)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "mini", ONE_FILE)
        for name, given in told.items():
            copy = small.copied(folder / name)
            patch.chdir(copy.folder)
            listed = sorted({model for model, _, run in asked if name in (run, NONE)})
            run = Run(Config.model_validate(values(copy, listed, given)))
            run_plan(run)
            for stage in (run_read, run_ask, run_predict, *([run_score] if given else [])):
                stage(run)
    return Runs({name: folder / name for name in told}, weights)


def values(small: SmallRun, models: list[str], weights: dict[str, Any]) -> dict[str, Any]:
    """One protocol of each task that the models answer; few training rows, and every training ends after an update or
    a few."""
    told = small.values() | {"models": models, "weights": weights, "most_steps": 3, "adapters": {}}
    told["protocols"] = [PROTOCOL[task] for task in dict.fromkeys(CARDS[name].task for name in models)]
    told["tasks"]["expression"]["split"]["max_train_units"] = 40
    if not any("normal" in CARDS[name].needs for name in models):
        told["cohorts"]["bulk"] = {COHORT: told["cohorts"]["bulk"][COHORT]}
    return told


def pairs(models: set[str]) -> pytest.MarkDecorator:
    chosen = [one for one in STARTS if one[0] in models]
    return pytest.mark.parametrize(("model", "part", "run"), chosen, ids=[f"{name}-{part}" for name, part, _ in chosen])


@pairs(FEW)
def test_a_named_file_changes_the_answers_and_stands_in_the_record(few: Runs, model: str, part: str, run: str) -> None:
    arrives(few, model, part, run)


@pytest.mark.long
@pairs(set(CARDS) - FEW)
def test_so_it_does_of_every_other_model(rest: Runs, model: str, part: str, run: str) -> None:
    arrives(rest, model, part, run)


def arrives(runs: Runs, model: str, part: str, run: str) -> None:
    weights = runs.record(run, model).weights
    told = [one for one in weights if one["sha256"] == runs.weights[part]["sha256"]]
    assert told, f"{part} is not in {weights}"
    assert {one["source"] for one in told} == {Path(runs.weights[part]["path"]).name}
    assert runs.answers(run, model) != runs.answers(NONE, model)


def test_every_model_is_among_them() -> None:
    """A model whose class loads weights names them on its card, and every part of every card has a published file."""
    assert {part for card in CARDS.values() for part in card.parts} == set(PUBLISHED)
    for name in built_in():
        found = load_model_class(name, {}, Path())
        own = bool(found.card.starts_from or found.card.checkpoints)
        assert own == hasattr(found, "load_weights"), f"{name}: a card that names parts, and a hook that loads them"
