"""The survival stages on a tiny TCGA-like phantom and on GSE7390, one after the other, as DVC runs them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from protocols.errors import UserError
from protocols.phantom.tcga import generate_tcga
from protocols.phantom.tcga_settings import MINI_TCGA
from protocols.records import ScoreRecord
from protocols.splitting import read_split
from protocols.survival.store import PatientStore
from suite.config import Config, read_config
from suite.export import write_units
from suite.places import INPUTS, PATIENTS, PREDICTIONS, SCORES, SPLITS
from suite.stages import inputs, patients, report, score_protocol, survival_predict
from suite.survival.submissions import score_survival_submission

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = "tcga_survival"
TINY = replace(MINI_TCGA, cohorts=(("brca", 30),), slide=replace(MINI_TCGA.slide, image_px=192, tile_px=192))
MODELS = ["survival_oracle", "kaplan_meier", "cox_elastic_net", "attention_mil"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    generate_tcga(folder / "data", TINY, seed=0)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    brca = values["survival"]["cohorts"]["phantom_brca"] | {"root": "data", "truth": "data/truth"}
    values["survival"] |= {
        "cohorts": {"phantom_brca": brca, "gse7390": {"reader": "gse7390", "root": "data"}},
        "average": ["phantom_brca"],
        "models": MODELS,
    }
    values |= {"models": [], "protocols": [], "workers": 1, "bulk": {}, "ihc": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = read_config()
        for name in config.survival.cohorts:
            patients.run(config, PROTOCOL, name)
        inputs.run(config)
        for model in MODELS:
            survival_predict.run(config, PROTOCOL, model)
        score_protocol.run(config, PROTOCOL)
        yield folder


@pytest.fixture
def config(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(checkout)
    return read_config()


def record(model: str, board: str) -> ScoreRecord:
    return ScoreRecord.read(SCORES / PROTOCOL / model / board)


def test_boards_of_every_model(config: Config) -> None:
    assert record("survival_oracle", "phantom_brca").headline.mean > 0.65
    assert record("kaplan_meier", "gse7390").headline.mean == 0.5
    assert record("kaplan_meier", "average").headline == record("kaplan_meier", "phantom_brca").headline
    for model, reason in (
        ("survival_oracle", "needs a known truth, and a real cohort has none"),
        ("attention_mil", "needs slides, and the cohort has none"),
    ):
        assert (record(model, "gse7390").status, record(model, "gse7390").reason) == ("skipped", reason)
    weights = record("attention_mil", "phantom_brca").weights
    assert [part["source"] for part in weights] == ["random", "none"]  # the encoder; the head learns here


def test_report_has_a_board_a_cohort(config: Config) -> None:
    paths = report.run(config)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert [board["board"] for board in boards] == ["average", "gse7390", "phantom_brca"]


def test_predictions_are_the_same_bytes_twice_and_after_a_kill(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PREDICTIONS / PROTOCOL / "attention_mil"
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    import shutil

    shutil.rmtree("runs/cache/predictions")
    shutil.rmtree(folder)
    whole, done = survival_predict.write_answer, []

    def killed(path: Path, *rest: object) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path)
        whole(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(survival_predict, "write_answer", killed)
    with pytest.raises(KeyboardInterrupt):
        survival_predict.run(config, PROTOCOL, "attention_mil")
    assert not (folder / "manifest.json").exists()
    again = []
    monkeypatch.setattr(survival_predict, "write_answer", lambda path, *rest: (again.append(path), whole(path, *rest)))
    survival_predict.run(config, PROTOCOL, "attention_mil")
    assert len(again) == 3  # two of five folds were kept
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_outcome_among_the_features_stops_the_run(config: Config, checkout: Path) -> None:
    """The leak of the released code, planted under a gene's name: the audit ends the stage."""
    table = pd.read_csv(checkout / "data" / "brca" / "tcga_brca_all_clean.csv.zip")
    leaking = table.assign(MYC_rnaseq=1.0 - table["censorship"])
    (checkout / "leak").mkdir(exist_ok=True)
    leaking.to_csv(checkout / "leak" / "t.csv", index=False)
    entry = config.survival.cohorts["phantom_brca"].model_copy(
        update={"root": Path("leak"), "table": "t.csv", "slides": None, "signatures": None}
    )
    survival = config.survival.model_copy(update={"cohorts": {"leaking": entry}})
    with pytest.raises(UserError, match="no outcome among the features, by content: feature 'MYC_rnaseq'"):
        patients.run(config.model_copy(update={"survival": survival}), PROTOCOL, "leaking")


def test_precomputed_bags_are_read_and_never_unpickled(config: Config, checkout: Path) -> None:
    """CLAM's .pt and TRIDENT's .h5 make the bags; a file that holds code is refused."""
    import h5py

    from baselines.encoders.bag_files import read_bag

    folder = checkout / "bags"
    folder.mkdir(exist_ok=True)
    bag = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    torch.save(torch.from_numpy(bag), folder / "a.pt")
    torch.save({"features": torch.from_numpy(bag)}, folder / "b.pt")
    for name, values in (("c.h5", bag), ("d.h5", bag[None])):
        with h5py.File(folder / name, "w") as file:
            file["features"] = values
    for name in ("a.pt", "b.pt", "c.h5", "d.h5"):
        np.testing.assert_array_equal(read_bag(folder / name), bag)
    torch.save({"features": Path("x")}, folder / "code.pt")
    with pytest.raises(UserError, match="refused, it holds more than tensors"):
        read_bag(folder / "code.pt")
    (folder / "cut.pt").write_bytes((folder / "a.pt").read_bytes()[:300])
    (folder / "cut.h5").write_bytes((folder / "c.h5").read_bytes()[:300])
    for name in ("cut.pt", "cut.h5", "none.pt", "bag.csv"):
        with pytest.raises(UserError):
            read_bag(folder / name)
    torch.save(torch.full((3, 2), float("nan")), folder / "nan.pt")
    with pytest.raises(UserError, match="not finite"):
        read_bag(folder / "nan.pt")


def submission(config: Config) -> pd.DataFrame:
    """The oracle's answers as somebody might hand them in."""
    rows = []
    for name in config.survival.cohorts:
        store = PatientStore(PATIENTS / name)
        split, _ = read_split(SPLITS / PROTOCOL / name)
        for fold in split.folds:
            for row in fold.test:
                rows.append((name, fold.name, store.patients[row], float(-store.time[row])))
    return pd.DataFrame(rows, columns=["cohort", "fold", "patient", "risk"])


def test_a_submission_is_scored_in_any_row_order(config: Config, tmp_path: Path) -> None:
    table = submission(config).sample(frac=1, random_state=0)
    table.rename(columns={"patient": "case_id"}).to_csv(tmp_path / "mine.csv", index=False)
    records = score_survival_submission(config, PROTOCOL, "mine", tmp_path / "mine.csv", "a note")
    assert {record.board for record in records} == {"phantom_brca", "gse7390", "average"}
    assert all(record.headline.mean > 0.98 for record in records)  # follow-up itself; equal times are ties
    assert records[0].weights[0]["source"] == "predictions only"
    import shutil

    shutil.rmtree("runs/submissions")


def test_several_models_and_one_cohort(config: Config, tmp_path: Path) -> None:
    table = submission(config).query("cohort == 'gse7390'")
    both = pd.concat([table.assign(model="a"), table.assign(model="b", risk=0.0)])
    both.to_parquet(tmp_path / "both.parquet")
    records = score_survival_submission(config, PROTOCOL, None, tmp_path / "both.parquet", "")
    assert [(r.model, r.board, r.headline.mean) for r in records] == [("a", "gse7390", 1.0), ("b", "gse7390", 0.5)]
    import shutil

    shutil.rmtree("runs/submissions")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="risk"), "no column 'risk'"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "twice"),
        (lambda t: t.iloc[1:], "1 test patients missing"),
        (lambda t: t.assign(patient=t["patient"].replace({t["patient"].iloc[0]: "nobody"})), "not test patients"),
        (lambda t: t.assign(risk=t["risk"].where(t.index != 3)), "is not finite"),
        (lambda t: t.assign(risk="high"), "not numeric"),
        (lambda t: t.assign(fold="9"), "unknown fold '9'"),
        (lambda t: t.assign(fold=t["fold"].replace({"0": "1", "1": "0"})), "not test patients"),
        (lambda t: t.assign(cohort="phantom_brac"), "phantom_brca"),
        (lambda t: t.assign(model="kaplan_meier"), "is a model of params.yaml"),
        (lambda t: t.assign(**{"S(ten)": 0.5}), r"S\(ten\)"),
        (lambda t: t.assign(**{"S(10)": 0.5, "S(20)": 0.6}), "not valid"),
    ],
)
def test_a_malformed_submission_is_one_clear_line(config: Config, tmp_path: Path, spoil: object, message: str) -> None:
    table = submission(config).assign(model="mine")
    spoil(table).to_csv(tmp_path / "mine.csv", index=False)  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        score_survival_submission(config, PROTOCOL, None, tmp_path / "mine.csv", "")
    assert not Path("runs/submissions").exists()


def test_units_say_who_is_tested_where(config: Config, tmp_path: Path) -> None:
    n = write_units(config, PROTOCOL, tmp_path / "units.csv")
    table = pd.read_csv(tmp_path / "units.csv", dtype=str)
    assert len(table) == n == 5 * (30 + 198)
    assert (table.query("role == 'test'").groupby("cohort")["patient"].nunique() == [198, 30]).all()


def test_a_model_under_the_wrong_task_is_named(config: Config) -> None:
    survival = config.survival.model_copy(update={"models": ["uni"]})
    with pytest.raises(UserError, match="'uni' answers expression protocols"):
        inputs.resolve(config.model_copy(update={"survival": survival}))


def test_inputs_records_name_the_bags(config: Config) -> None:
    bags = json.loads((INPUTS / "attention_mil.json").read_text())["bags"]
    assert set(bags) == {"phantom_brca"}
    assert bags["phantom_brca"]["weights"]["source"] == "random"


def test_the_phantom_regenerates_to_the_byte(checkout: Path, tmp_path: Path) -> None:
    generate_tcga(tmp_path, TINY, seed=0)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 30
    for path in written:
        assert (checkout / "data" / path).read_bytes() == (tmp_path / path).read_bytes(), path
    with zipfile.ZipFile(tmp_path / "brca" / "tcga_brca_all_clean.csv.zip") as archive:
        assert archive.infolist()[0].date_time[0] == 2021
