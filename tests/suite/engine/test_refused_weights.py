"""A name that nobody loads, and a file that does not fit, stop the plan in one line before anything is fitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.encoders.weights import load_encoder
from protocols.contract import Card, Inputs, Settings, TrainingData, WeightsRecord
from protocols.errors import UserError
from protocols.files import sha256_of
from suite.config import Config
from suite.engine import predict, weights_check
from suite.engine.conformance import check
from suite.engine.fitting import fit_job
from suite.engine.plan import run_plan
from suite.engine.predict import run_predict
from suite.engine.prepare import prepare
from suite.engine.run import Run
from suite.engine.weights_check import run_weights
from suite.places import CACHE, PLAN
from suite.workers import Job
from tests.published import PUBLISHED, densenet121, write_published
from tests.suite.engine.small_run import TASKS, SmallRun
from tests.suite.engine_run import params

NOWHERE = {"path": "nowhere.bin", "sha256": "0" * 64}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_with(models: list[str], weights: dict[str, Any], **changes: Any) -> Run:
    return Run(Config.model_validate(params(models=models, weights=weights, **changes)))


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert not PLAN.exists(), "nothing is planned behind it"
    assert not (CACHE / "fits").exists()
    return str(caught.value)


ALONE = "expected a part that a listed model loads (uni); "
BOTH = "expected a part that a listed model loads (densenet121, uni); "
NO_NAME_OF_ITS_OWN = "takes no weights under its own name; expected a part that a listed model loads "
NAMES = [
    (["uni"], ["unii"], f"weights.unii: unknown part 'unii'; {ALONE}did you mean 'uni'?"),
    (["uni"], ["conch"], f"weights.conch: no listed model loads it; {ALONE}list a model that does (conch, mcat_conch)"),
    (
        ["uni", "st_net"],
        ["st_net"],
        f"st_net {NO_NAME_OF_ITS_OWN}(densenet121, uni); name weights.densenet121",
    ),
    (["train_mean"], ["train_mean"], f"{NO_NAME_OF_ITS_OWN}(no listed model loads any); drop it: it takes none"),
    (
        ["past"],
        ["past", "uni"],
        "weights.uni: no model would load it: past starts from a checkpoint of its own",
    ),
    (["st_net", "uni_hest"], ["resnet50"], f"weights.resnet50: no listed model loads it; {BOTH}"),
]


@pytest.mark.parametrize(("models", "names", "says"), NAMES)
def test_a_name_that_nobody_loads(models: list[str], names: list[str], says: str) -> None:
    """The file does not even exist: that is not looked at before the name."""
    weights = dict.fromkeys(names, NOWHERE)
    assert says in refusal(lambda: run_plan(run_with(models, weights)))
    assert says in refusal(lambda: prepare(run_with(models, weights).config, "intra_patient"))


def test_weights_of_a_model_that_no_listed_protocol_asks() -> None:
    run = run_with(["uni", "mcat_conch"], {"conch": NOWHERE}, protocols=["intra_patient"])
    assert "mcat_conch answers no listed protocol" in refusal(lambda: run_plan(run))


def test_a_part_that_has_two_files() -> None:
    own = {"timm": "resnet18", "weights": NOWHERE}
    run = run_with(
        ["probe"], {"mine": NOWHERE}, encoders={"mine": own}, adapters={"probe": "sklearn.linear_model:Ridge() @ mine"}
    )
    assert "mine has weights here and under encoders.mine.weights" in refusal(lambda: run_plan(run))


@pytest.mark.parametrize(("model", "part"), [("chief", "chief"), ("st_net", "densenet121"), ("past", "past")])
def test_a_file_that_does_not_fit(model: str, part: str, tmp_path: Path) -> None:
    """By the frozen encoder and by models that load for themselves."""
    given = write_published(part, tmp_path)
    assert "no such file" in refusal(lambda: run_plan(run_with([model], {part: NOWHERE})))
    wrong = given | {"sha256": "0" * 64}
    assert f"{given['path']}: sha256 is {given['sha256']}" in refusal(
        lambda: run_plan(run_with([model], {part: wrong}))
    )
    assert "incomplete entry" in refusal(lambda: run_plan(run_with([model], {part: {"path": given["path"]}})))
    other = write_published("musk", tmp_path)
    assert "keys differ: missing" in refusal(lambda: run_plan(run_with([model], {part: other})))
    state = {key: value[..., :-1] if value.ndim == 4 else value for key, value in PUBLISHED[part][1]().items()}
    torch.save({"model": state}, tmp_path / "narrow.pth")
    narrow = {"path": "narrow.pth", "sha256": sha256_of(tmp_path / "narrow.pth")}
    assert "published weights fit profile: full" in refusal(lambda: run_plan(run_with([model], {part: narrow})))


def test_what_fits_is_not_loaded_again_until_its_bytes_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = write_published("densenet121", tmp_path)
    run = run_with(["st_net", "st_net_own_target"], {"densenet121": given})
    loaded: list[str] = []

    def counted(work: Any, jobs: list[Job[Any]], _workers: int) -> Any:
        for job in jobs:
            loaded.append(job.item.name)
            yield job.item, work(job.item)

    monkeypatch.setattr(weights_check, "run_jobs", counted)
    run_weights(run)
    run_weights(run)
    assert sorted(loaded) == ["st_net", "st_net_own_target"]
    path = Path(given["path"])
    torch.save({key: value + 1 for key, value in densenet121().items()}, path)
    run_weights(run_with(["st_net"], {"densenet121": {"path": str(path), "sha256": sha256_of(path)}}))
    assert sorted(loaded) == ["st_net", "st_net", "st_net_own_target"]


def test_without_weights_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_check, "run_jobs", None)
    run_weights(run_with(["uni", "st_net"], {}))


class Forgetful:
    """Asks for UNI, and its card does not say so: what ST-Net and the tuned UNI once did."""

    card = Card(name="forgetful", title="Forgetful")

    def fit(self, train: TrainingData) -> None:
        load_encoder("uni", train.settings)

    def predict(self, test: Inputs) -> Any:
        raise AssertionError("never reached")


def test_a_model_that_asks_for_a_part_its_card_does_not_name(tmp_path: Path) -> None:
    settings = Settings(weights={"uni": NOWHERE}, parts=Forgetful.card.parts)
    for ask in (
        lambda: load_encoder("uni", settings),
        lambda: "uni" in settings.weights,
        lambda: settings.weights["uni"],
    ):
        with pytest.raises(UserError, match="asks for the weights of 'uni', which its card does not name"):
            ask()
    source = Path(__file__).read_text(encoding="utf-8")
    start, end = source.index("class Forgetful"), source.index("def test_a_model_that_asks")
    heads = "from typing import Any\nfrom baselines.encoders.weights import load_encoder\n"
    heads += "from protocols.contract import Card, Inputs, TrainingData\n"
    (tmp_path / "forgetful.py").write_text(heads + source[start:end], encoding="utf-8")
    problems = [one.problem for one in check("forgetful.py:Forgetful", None) if one.problem]
    assert "asks for the weights of 'uni', which its card does not name" in problems[0]


@pytest.mark.parametrize("task", TASKS)
def test_a_model_that_does_not_report_what_it_was_handed(
    small: SmallRun, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for every task: the small run's own model of it, with UNI on its card and no word of it in its record."""
    own = small.folder / task / "own.py"
    text = own.read_text(encoding="utf-8")
    own.unlink()
    own.write_text(text.replace(f'name="own_{task}"', f'name="own_{task}", starts_from=("uni",)'), encoding="utf-8")
    given = write_published("uni", small.folder)

    def here(work: Any, jobs: list[Job[Any]], _workers: int) -> Any:
        for job in jobs:
            yield job.item, fit_job(job.item)

    monkeypatch.setattr(predict, "run_jobs", here)
    values = small.values() | {"weights": {"uni": given}, "models": [f"own_{task}"]}
    values["protocols"] = [{"expression": "intra_patient", "survival": "tcga_survival", "bulk": "tcga_expression",
                            "staining": "ihc4bc", "response": "response"}[task]]  # fmt: skip
    with pytest.raises(UserError, match=r"weights\.uni was named and is not among what was loaded"):
        run_predict(Run(Config.model_validate(values), small.folder))


def test_a_record_is_its_files_by_hash_and_by_nothing_else() -> None:
    from suite.engine.named_weights import refuse_unreported

    by_path = {"uni": {"path": "/models/uni.bin", "sha256": "a" * 64}}
    by_hub = {"uni": {"hub": "MahmoodLab/UNI", "revision": "b" * 40}}
    refuse_unreported(by_path, [WeightsRecord("image encoder", "uni.bin", None, "a" * 64)], where="here")
    refuse_unreported(by_hub, [WeightsRecord("uni", "MahmoodLab/UNI", "b" * 40, "c" * 64)], where="here")
    for named, record in (
        (by_path, WeightsRecord("uni", "uni.bin", None, "c" * 64)),
        (by_path, WeightsRecord("uni", "uni.bin")),
        (by_path, WeightsRecord("uni", "random")),
        (by_hub, WeightsRecord("uni", "MahmoodLab/UNI", "c" * 40, "c" * 64)),
        (by_hub, WeightsRecord("uni", "MahmoodLab/UNI", "b" * 40)),
    ):
        with pytest.raises(UserError, match=r"here: weights\.uni was named"):
            refuse_unreported(named, [record], where="here")
