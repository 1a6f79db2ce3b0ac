"""A second protocol of survival, of bulk and of staining: one file each, named in the run's file, to a board."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import UserError
from protocols.phantom.bulk import generate_bulk
from protocols.phantom.ihc import generate_ihc
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.records import ScoreRecord
from protocols.splits import Split, read_split
from suite.engine.report import run_report
from suite.engine.run import Run
from suite.places import score_folder, split_folder
from tests.protocols.phantom.tiny_bulk import TINY_BULK
from tests.suite.bulk_run import COHORT, cohorts, settings
from tests.suite.engine_run import params, run_all, the_run, write_params

FILES = {
    "survival": '''
"""Survival, two halves: half of the patients teach, the other half is asked."""
from dataclasses import replace
import numpy as np
from protocols.questions.tcga_survival import PROTOCOL as FIVE_FOLDS
from protocols.splits import Fold, Split

def halves(store, settings, seed):
    rows = np.arange(len(store))
    odd = rows % 2 == 1
    return Split((Fold("even", "even", rows[odd], rows[~odd]), Fold("odd", "odd", rows[~odd], rows[odd])))

PROTOCOL = replace(FIVE_FOLDS, name="two_halves", title="Survival in halves", split=halves, place=41)
''',
    "bulk": '''
"""Bulk expression in three folds."""
from dataclasses import replace
from protocols.bulk.splits import published_folds
from protocols.questions.tcga_expression import PROTOCOL as FIVE_FOLDS
from protocols.splits import Split

def three(store, settings, seed):
    return Split(tuple(published_folds(store.patients, seed, folds=3)))

PROTOCOL = replace(FIVE_FOLDS, name="three_folds", title="Bulk in thirds", split=three, place=51)
''',
    "staining": '''
"""Virtual IHC, judged by structure."""
from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.staining.splits import patient_folds

def halves(store, settings, seed):
    return patient_folds(store, seed, folds=2)

PROTOCOL = Protocol(
    name="structure", version="1", task="staining", title="Virtual IHC in halves", question="?", source="a test",
    target="IHC", split=halves, metrics=(Metric("psnr", "PSNR", "of tiles", unit="dB"), Metric("ssim", "SSIM", "same")),
)
''',
}
TINY_IHC = replace(
    MINI_IHC, profile="tiny", markers=(("ER", 4),), rows=1, columns=1, patch_px=32, candidates=1, reachable_draws=2,
    edge_every=99, blurred_every=99,
)  # fmt: skip
NAMES = {"survival": "two_halves", "bulk": "three_folds", "staining": "structure"}
BOARDS = {"survival": "gse7390", "bulk": COHORT, "staining": "tiny_ER"}
MODELS = {
    "survival": ("kaplan_meier", "cox_clinical"),
    "bulk": ("bulk_train_mean", "bulk_oracle"),
    "staining": ("ihc_mean", "ihc_identity"),
}


def values(**changes: Any) -> dict[str, Any]:
    tree = {"root": "ihc/jitter", "markers": ["ER"], "aligned": "ihc/exact", "truth": "ihc/truth", "mpp": 1.0}
    told = {
        "protocols": ["tcga_survival", *(f"questions/{task}.py" for task in FILES)],
        "models": [model for models in MODELS.values() for model in models],
        "cohorts": {
            "survival": {"gse7390": {"reader": "gse7390", "endpoint": "distant metastasis"}},
            "bulk": {COHORT: cohorts()[COHORT]},
            "staining": {"tiny": tree},
        },
        "tasks": {**settings(), "staining": {"folds": 2, "tile_px": 32, "shift_px": 1}, "survival": {}},
    }
    return params(**{**told, **changes})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    generate_bulk(folder / "data", TINY_BULK, 0)
    generate_ihc(folder / "ihc", TINY_IHC, 0)
    (folder / "questions").mkdir()
    for task, text in FILES.items():
        (folder / "questions" / f"{task}.py").write_text(text.lstrip())
    write_params(folder, values())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    return the_run()


def record(protocol: str, board: str, model: str) -> ScoreRecord:
    return ScoreRecord.read(score_folder(protocol, board, model, 0))


def test_one_file_is_a_board(run: Run) -> None:
    boards = json.loads(run_report(run).json.read_text())["leaderboards"]
    found = {(board["protocol"], board["board"]): board for board in boards}
    for task in FILES:
        board = found[NAMES[task], BOARDS[task]]
        assert board["task"] == task
        assert {row["model"] for row in board["rows"]} == set(MODELS[task])
        assert all(row["headline"]["mean"] is not None for row in board["rows"] if row["model"] != "bulk_train_mean")


def split(task: str) -> Split:
    cohort = BOARDS[task].removesuffix("_ER")
    return read_split(split_folder(NAMES[task], cohort))[0]


def test_folds_are_those_of_the_file(run: Run) -> None:
    halves = split("survival").folds
    assert [fold.name for fold in halves] == ["even", "odd"]
    assert halves[0].test.tolist() == list(range(0, 198, 2))
    assert halves[0].train.tolist() == list(range(1, 198, 2))
    assert [len(split(task).folds) for task in ("bulk", "staining")] == [3, 2]
    tested = sorted(row for fold in split("bulk").folds for row in fold.test.tolist())
    assert tested == list(range(record("three_folds", COHORT, "bulk_oracle").cohort["n_patients"]))
    assert len(read_split(split_folder("tcga_survival", "gse7390"))[0].folds) == 5


def test_the_second_stands_beside_the_first(run: Run) -> None:
    """One cohort, two questions: other folds, other answers; chance stays chance."""
    first, second = (record(name, "gse7390", "cox_clinical") for name in ("tcga_survival", "two_halves"))
    assert first.hashes["cohort"] == second.hashes["cohort"]
    assert first.hashes["split"] != second.hashes["split"]
    assert first.headline.mean != second.headline.mean
    assert record("two_halves", "gse7390", "kaplan_meier").headline.mean == 0.5


def test_an_edited_file_asks_again_and_the_other_protocol_stays(run: Run, checkout: Path) -> None:
    from suite.engine import keys

    before = {name: keys.of_split(run, protocol) for name, protocol in run.protocols.items()}
    path = checkout / "questions" / "survival.py"
    path.write_text(FILES["survival"].lstrip().replace("rows % 2 == 1", "rows % 2 == 0"))
    keys.closure.cache_clear()
    after = {name: keys.of_split(run, protocol) for name, protocol in run.protocols.items()}
    path.write_text(FILES["survival"].lstrip())
    keys.closure.cache_clear()
    assert {name for name in after if after[name] != before[name]} == {"two_halves"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name="two_halves"', 'name="tcga_survival"', r"its protocol is named 'tcga_survival', as another is"),
        ("PROTOCOL = ", "QUESTION = ", r"no PROTOCOL.*expected PROTOCOL = Protocol"),
        ("from dataclasses", "from dataclases", r"ModuleNotFoundError.*dataclases"),
        ('"two_halves"', '"../two_halves"', "is no plain name"),
    ],
)
def test_a_file_that_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str
) -> None:
    assert old in FILES["survival"]
    (tmp_path / "mine.py").write_text(FILES["survival"].replace(old, new))
    write_params(tmp_path, values(protocols=["mine.py"]))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        assert the_run().protocols
    assert "\n" not in str(caught.value)


def test_a_board_is_not_called_by_another_metric(run: Run, checkout: Path) -> None:
    """The task ranks by Harrell's C: a file that puts Uno's first would print one number under the other's name."""
    text = FILES["survival"].replace(
        "split=halves", "split=halves, metrics=(FIVE_FOLDS.metric('uno_mean'), *FIVE_FOLDS.metrics)"
    )
    (checkout / "uno.py").write_text(text.replace("two_halves", "by_uno"))
    write_params(checkout, values(protocols=["uno.py"], models=["kaplan_meier", "cox_clinical"]))
    try:
        with pytest.raises(UserError, match=r"first metric is 'uno_mean'.*ranks by another.*expected harrell_mean"):
            run_all(the_run())
    finally:
        write_params(checkout, values())
