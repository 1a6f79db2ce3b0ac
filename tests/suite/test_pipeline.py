"""The stages on a tiny phantom, one after the other, as DVC runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from protocols.cohorts.store import CohortStore
from protocols.errors import UserError
from protocols.phantom.generate import generate
from protocols.phantom.settings import MINI
from protocols.records import ScoreRecord
from protocols.splitting import read_split
from suite.config import Config, read_config
from suite.places import COHORT, INPUTS, PREDICTIONS, SCORES, SPLITS, UNFINISHED
from suite.stages import audit, cohort, inputs, predict, score, split
from suite.submissions import score_submission

ROOT = Path(__file__).resolve().parents[2]
TINY = replace(MINI, cancers=("breast", "lung"), patients_per_cancer=2, image_px=384, oracle_draws=64)
MODELS = ["oracle", "train_mean", "coordinates", "stain_statistics"]
NEWCOMER = """
import numpy as np
from protocols.contract import Card

class Newcomer:
    card = Card(name="newcomer", title="Newcomer")
    def fit(self, train):
        self.mean = train.filled_targets().mean(axis=0)
    def predict(self, test):
        return np.tile(self.mean, (len(test), 1)) + test.crops().mean(axis=(1, 2, 3))[:, None] / 255
"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom")
    generate(out, TINY, seed=0)
    return out


@pytest.fixture(scope="module")
def checkout(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with parameters for the tiny phantom, and the stages up to ``inputs`` run."""
    folder = tmp_path_factory.mktemp("checkout")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["cohort"] |= {"root": str(phantom), "manifest": str(phantom / "slides.csv"), "truth": str(phantom / "truth")}
    values["models"], values["adapters"] = [*MODELS, "newcomer"], {"newcomer": "newcomer.py:Newcomer"}
    values |= {"survival": {}, "bulk": {}, "ihc": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    (folder / "newcomer.py").write_text(NEWCOMER)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = read_config()
        cohort.run(config)
        for protocol in config.protocols:
            split.run(config, protocol)
            audit.run(config, protocol)
        inputs.run(config)
        yield folder


@pytest.fixture
def config(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(checkout)
    return read_config()


def scored(config: Config, protocol: str, model: str) -> ScoreRecord:
    predict.run(config, protocol, model)
    score.cell(config, protocol, model, SCORES / protocol / model)
    return ScoreRecord.read(SCORES / protocol / model)


@pytest.mark.parametrize("protocol", ["intra_patient", "inter_patient", "cross_cancer"])
def test_controls_bracket_the_scale(config: Config, protocol: str) -> None:
    mean, best = scored(config, protocol, "train_mean"), scored(config, protocol, "oracle")
    stain = scored(config, protocol, "stain_statistics")
    assert mean.headline.mean == 0.0
    assert best.headline.mean is not None
    assert stain.headline.mean is not None
    assert 0.0 < stain.headline.mean < best.headline.mean


def test_predictions_are_the_same_bytes_twice(config: Config) -> None:
    first = scored(config, "intra_patient", "stain_statistics").to_json()
    assert scored(config, "intra_patient", "stain_statistics").to_json() == first


def test_killed_run_goes_on_and_ends_in_the_same_bytes(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    predict.run(config, "intra_patient", "newcomer")
    whole = folder_bytes(PREDICTIONS / "intra_patient" / "newcomer")
    real, done = predict.predict_fold, []

    def dies_at_the_third(*arguments: object) -> object:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(predict, "predict_fold", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        predict.run(config, "intra_patient", "newcomer")
    kept = list(UNFINISHED.glob("intra_patient-newcomer-*/*.parquet"))
    assert len(kept) == 3
    monkeypatch.setattr(predict, "predict_fold", lambda *a: done.append(1) or real(*a))
    predict.run(config, "intra_patient", "newcomer")
    assert folder_bytes(PREDICTIONS / "intra_patient" / "newcomer") == whole
    assert not list(UNFINISHED.glob("intra_patient-newcomer-*"))


def test_other_models_records_stay_when_one_changes(config: Config, checkout: Path) -> None:
    before = folder_bytes(INPUTS)
    (checkout / "newcomer.py").write_text(NEWCOMER.replace("/ 255", "/ 256"))
    try:
        inputs.run(config)
        after = folder_bytes(INPUTS)
    finally:
        (checkout / "newcomer.py").write_text(NEWCOMER)
        inputs.run(config)
    assert {name for name in before if before[name] != after[name]} == {"newcomer.json"}


def test_a_models_nan_is_named(config: Config, checkout: Path) -> None:
    (checkout / "newcomer.py").write_text(NEWCOMER.replace("/ 255", "/ 0 * 0"))
    try:
        with pytest.raises(UserError, match=r"model newcomer, fold .*NaN or infinity"), np.errstate(all="ignore"):
            predict.run(config, "inter_patient", "newcomer")
    finally:
        (checkout / "newcomer.py").write_text(NEWCOMER)


def test_changed_predictions_are_refused(config: Config) -> None:
    predict.run(config, "inter_patient", "train_mean")
    victim = PREDICTIONS / "inter_patient" / "train_mean" / "0000.parquet"
    victim.write_bytes(victim.read_bytes()[:-7])
    with pytest.raises(UserError, match="missing or changed"):
        score.cell(config, "inter_patient", "train_mean", SCORES / "inter_patient" / "train_mean")


def test_predictions_for_another_split_are_refused(config: Config) -> None:
    predict.run(config, "inter_patient", "train_mean")
    path = PREDICTIONS / "inter_patient" / "train_mean" / "manifest.json"
    path.write_text(path.read_text().replace(json.loads(path.read_text())["split"], "0" * 64))
    with pytest.raises(UserError, match="another split"):
        score.cell(config, "inter_patient", "train_mean", SCORES / "inter_patient" / "train_mean")


def submission(config: Config, protocol: str = "inter_patient") -> pd.DataFrame:
    """The truth itself plus noise, as somebody else's table."""
    store, (folds, _) = CohortStore(COHORT), read_split(SPLITS / protocol)
    rng = np.random.default_rng(0)
    parts = []
    for fold in folds.folds:
        values = np.nan_to_num(store.targets(fold.test, fold.genes)) + rng.normal(
            size=(len(fold.test), len(fold.genes))
        )
        part = store.units.iloc[fold.test][["slide", "cell_id"]].reset_index(drop=True)
        parts.append(pd.concat([part, pd.DataFrame(values, columns=list(fold.genes))], axis=1))
    return pd.concat(parts, ignore_index=True).fillna(0.0)


def test_submission_is_scored_like_a_model_in_any_row_order(config: Config, tmp_path: Path) -> None:
    table = submission(config)
    table.to_parquet(tmp_path / "a.parquet")
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "b.csv", index=False, float_format="%.9g")
    first = score_submission(config, "inter_patient", "theirs", tmp_path / "a.parquet", "")
    again = score_submission(config, "inter_patient", "theirs_shuffled", tmp_path / "b.csv", "")
    assert first.headline.mean is not None
    assert first.headline.mean > 0.3
    assert first.headline.mean == pytest.approx(again.headline.mean, abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "duplicate rows"),
        (lambda t: t.iloc[1:], "test units missing"),
        (lambda t: t.assign(cell_id=["nobody", *t["cell_id"][1:]]), "not test units"),
        (lambda t: t.drop(columns=t.columns[3]), "columns missing"),
        (lambda t: t.assign(**{t.columns[3]: np.nan}), "finite numbers"),
        (lambda t: t.assign(**{t.columns[3]: "high"}), "not numeric"),
        (lambda t: t.drop(columns="slide"), "no column 'slide'"),
        (lambda t: t.assign(fold="breat/p1"), "unknown fold"),
    ],
)
def test_malformed_submission_is_one_clear_line(config: Config, tmp_path: Path, spoil: object, message: str) -> None:
    spoil(submission(config)).to_parquet(tmp_path / "bad.parquet")  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        score_submission(config, "inter_patient", "bad", tmp_path / "bad.parquet", "")
    assert "\n" not in str(caught.value)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
