"""What a run would refuse of a model, `check` refuses in the same words, and the other way round."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from baselines.registry import built_in, load_model_class, start_of
from protocols.errors import UserError
from suite.config import Config
from suite.engine import run as running
from suite.engine.conformance import CONFORMS, IMPORTED, check
from suite.engine.facts import problems_of, task_facts
from suite.engine.run import Run

FILE = """
from protocols.contract import Card, Published
{imports}

class Mine:
    card = Card({card})
    def fit(self, train): ...
    def predict(self, test): ...
"""
WHOLE = 'name="mine", title="Mine"'
CARDS = {
    'needs=("oracel",)': "needs 'oracel' is unknown: did you mean 'oracle'?",
    'kind="modell"': "kind 'modell' is unknown: did you mean 'model'?",
    'task="survivl"': "task 'survivl' is unknown: did you mean 'survival'?",
    'task="bulk", needs=("normall",)': "needs 'normall' is unknown: did you mean 'normal'?",
    'task="bulk", needs=("counts",)': "needs 'counts' is unknown: known: normal, oracle",
    'encoder="my_vit"': "encoder 'my_vit' is unknown: ",
    'encoder="resnet5"': "encoder 'resnet5' is unknown: did you mean 'resnet50'?",
    'starts_from=("unii",)': "encoder 'unii' is unknown: did you mean 'uni'?",
    'published=(Published("intra_patiant", "Pearsn", .9),)': (
        "published protocol 'intra_patiant' is unknown: did you mean 'intra_patient'?"
    ),
    'published=(Published("intra_patient", "Pearsn", .9),)': (
        "published metric of intra_patient 'Pearsn' is unknown: did you mean 'pearson_pooled'?"
    ),
    'published=(Published("tcga_survival", "harell_mean", .6),)': (
        "published metric of tcga_survival 'harell_mean' is unknown: did you mean 'harrell_mean'?"
    ),
    'files=("my_weights.npy",)': "file 'my_weights.npy' is not in ",
}


def config(folder: Path, **changes: object) -> Config:
    told = {
        "profile": "mini", "seeds": [0], "threads": 1, "workers": 1, "device": "cpu", "cohorts": {},
        "protocols": ["intra_patient"], "models": ["mine"], "adapters": {"mine": f"{folder / 'mine.py'}:Mine"},
    }  # fmt: skip
    return Config.model_validate(told | changes)


def write(folder: Path, card: str = WHOLE, imports: str = "") -> None:
    (folder / "mine.py").write_text(FILE.format(card=card, imports=imports))


def problem(folder: Path, check_name: str, **changes: object) -> str:
    """What `check` says of one of its first two tests; the contract tests that follow are not waited for."""
    for result in check("mine", config(folder, **changes)):
        if result.check == check_name:
            return result.problem
    return "(the check was not reached)"


def refusal(folder: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        _ = Run(config(folder, **changes), folder).models
    return str(caught.value)


@pytest.fixture(autouse=True)
def path_is_left_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that imports an adapter is that adapter's alone; this one is not."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards from outside are read by a process each; here it would say the same, later."""
    monkeypatch.setattr(running, "card_from_outside", lambda *given: load_model_class(*given).card)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("card", CARDS)
def test_a_card_that_says_what_nobody_knows(tmp_path: Path, card: str) -> None:
    write(tmp_path, f"{WHOLE}, {card}")
    assert problem(tmp_path, CONFORMS).startswith(CARDS[card])
    assert f"the card of mine: {CARDS[card]}" in refusal(tmp_path)
    assert refusal(tmp_path).endswith("run `slide2omics check mine`")


def test_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    write(tmp_path, f'{WHOLE}, kind="modell"')
    assert CARDS['kind="modell"'] in refusal(tmp_path)


@pytest.mark.usefixtures("in_this_process")
def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, f'{WHOLE}, kind="modell", needs=("oracel",), encoder="unii"')
    assert problem(tmp_path, CONFORMS).count("is unknown") == 3


@pytest.mark.usefixtures("in_this_process")
def test_what_the_card_names_is_accepted_once_it_is_there(tmp_path: Path) -> None:
    write(tmp_path, f'{WHOLE}, encoder="my_vit", files=("my_weights.npy",)')
    (tmp_path / "my_weights.npy").touch()
    encoders = {"my_vit": {"timm": "vit_small_patch16_224"}}
    assert problem(tmp_path, CONFORMS, encoders=encoders) == ""
    assert list(Run(config(tmp_path, encoders=encoders), tmp_path).models) == ["mine"]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("encoders", "says"),
    [
        ({"uni": {"timm": "vit_small_patch16_224"}}, "'uni' is an encoder of the table"),
        ({"my_vit": {"tim": "vit_small_patch16_224"}}, "encoders.my_vit.tim is 'vit_small_patch16_224'"),
        ({"my_vit": {"pixels": 224}}, "either timm"),
    ],
)
def test_an_encoder_of_the_runs_file_that_is_wrong(tmp_path: Path, encoders: object, says: str) -> None:
    write(tmp_path)
    assert says in problem(tmp_path, CONFORMS, encoders=encoders)
    assert says in refusal(tmp_path, encoders=encoders)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("card", "imports", "says"),
    [
        (WHOLE, "import nowhere_at_all", "No module named 'nowhere_at_all'"),
        (WHOLE, "import (", "SyntaxError"),
        ('name="other", title="Mine"', "", "its card is named 'other'"),
        ('nane="mine"', "", "TypeError"),
        (WHOLE, "import yaml", "it imports 'yaml', and that is yaml.py beside it as well as "),
    ],
)
def test_a_file_that_does_not_import(tmp_path: Path, card: str, imports: str, says: str) -> None:
    (tmp_path / "yaml.py").write_text("VALUE = 1\n")
    write(tmp_path, card, imports)
    assert says in problem(tmp_path, IMPORTED)
    assert says in refusal(tmp_path)


def test_an_unknown_name(tmp_path: Path) -> None:
    (result,) = check("ctranspth", config(tmp_path))
    assert result.check == IMPORTED
    assert "did you mean 'ctranspath'?" in result.problem
    assert "did you mean 'ctranspath'?" in refusal(tmp_path, models=["ctranspth"])


def test_every_built_in_card_conforms() -> None:
    facts = task_facts()
    for name in built_in():
        card = load_model_class(name, {}, Path()).card
        assert problems_of(card, start_of(name, {}, Path()), facts, {}) == [], name
