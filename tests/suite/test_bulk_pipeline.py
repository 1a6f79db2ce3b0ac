"""The stages of bulk expression on a tiny phantom, one after the other, as DVC runs them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from protocols.bulk.splitting import read_bulk_split
from protocols.bulk.store import BulkStore
from protocols.errors import UserError
from protocols.phantom.bulk import generate_bulk
from protocols.records import UNITS_FILE, ScoreRecord
from protocols.spatial.store import SectionsStore
from suite.bulk.spatial_scoring import MAP_CONTROLS
from suite.config import Config, read_config
from suite.places import ASKED, AUDITS, BULK, CACHE, METRICS, PREDICTIONS, SCORED, SCORES, SECTIONS, SPLITS, UNFINISHED
from suite.stages import bulk, bulk_audit, bulk_predict, inputs, report, score_protocol
from tests.protocols.phantom.tiny_bulk import TINY_BULK

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "sequoia_vis_pretrained"
MODELS = ["bulk_oracle", "bulk_train_mean", "ridge_mean_feature", NETWORK]
COHORT, EXTERNAL, SECTION = "phantom_gbm", "phantom_cptac_gbm", "UKF900_T_ST"


def parameters() -> dict[str, object]:
    values: dict[str, object] = yaml.safe_load((ROOT / "params.yaml").read_text())
    bulk_values = values["bulk"]
    cohorts = bulk_values["cohorts"]  # type: ignore[index]
    gbm = cohorts["phantom_gbm"] | {"root": "data", "truth": "data/truth/oracle/gbm.parquet"}
    external = cohorts["phantom_cptac_brca"] | {
        "root": "data",
        "files": {"table": "cptac_gbm/reference.csv.gz", "slides": "cptac_gbm/slides.csv"},
        "external": COHORT,
        "truth": "data/truth/oracle/cptac_gbm.parquet",
    }
    sections = bulk_values["sections"] | {  # type: ignore[index]
        "root": "data",
        "manifest": "data/sections.csv",
        "modules": "data/meta_modules.json",
        "truth": "data/truth",
        "window": 2,
        "genes": 8,
    }
    bulk_values |= {  # type: ignore[operator]
        "super_tiles": 4,
        "cohorts": {COHORT: gbm, EXTERNAL: external, "phantom_normal": cohorts["phantom_normal"] | {"root": "data"}},
        "sections": sections,
        "average": [COHORT],
        "models": MODELS,
    }
    values |= {"models": [], "protocols": [], "workers": 1, "bulk": bulk_values}
    for part in ("survival", "ihc"):
        if part in values:
            values[part] |= {"protocols": []}  # type: ignore[operator]
    return values


def run_all(config: Config) -> None:
    for name in config.bulk.cohorts:
        bulk.run(config, name)
    bulk_audit.run(config)
    inputs.run(config)
    for model in config.bulk.models:
        bulk_predict.run(config, model)
    for protocol in config.bulk.protocols:
        score_protocol.run(config, protocol)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checkout")
    generate_bulk(folder / "data", TINY_BULK, 0)
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_all(read_config())
        yield folder


@pytest.fixture
def config(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(checkout)
    return read_config()


def record(protocol: str, model: str, board: str = "") -> ScoreRecord:
    return ScoreRecord.read(SCORES / protocol / model / board)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_cohorts_folds_and_audit(config: Config) -> None:
    store = BulkStore(BULK / COHORT)
    folds, split = read_bulk_split(SPLITS / "tcga_expression" / COHORT)
    assert split["cohort"] == store.hash
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(25))
    assert not (SPLITS / "tcga_expression" / EXTERNAL / "split.json").exists(), "an external cohort has no folds"
    audit = json.loads((AUDITS / "tcga_expression" / f"{COHORT}.json").read_text())
    assert {finding["verdict"] for finding in audit["findings"]} == {"pass"}
    asked = json.loads((ASKED / "tcga_expression" / "cohorts.json").read_text())
    assert asked == {name: BulkStore(BULK / name).hash for name in (EXTERNAL, "phantom_normal")}
    maps = json.loads((AUDITS / "gbm_spatial" / f"{COHORT}.json").read_text())
    assert {finding["verdict"] for finding in maps["findings"]} == {"pass"}
    assert "sections" in json.dumps(maps["findings"])
    assert set(BulkStore(BULK / "phantom_normal").tissue or ()) == {"Brain", "Lung"}


def test_leaderboard_of_expression(config: Config) -> None:
    oracle, mean = (record("tcga_expression", name, COHORT) for name in ("bulk_oracle", "bulk_train_mean"))
    truth = pd.read_parquet("data/truth/genes.parquet").query("cohort == 'gbm'").set_index("gene")["reachable_r"]
    genes = [row["gene"] for row in oracle.per_gene]
    assert oracle.headline.mean == pytest.approx(truth[genes].mean(), abs=0.12)  # five patients a fold are few
    assert [row["reachable"] for row in oracle.per_gene] == pytest.approx(truth[genes].tolist(), abs=0.02)
    assert mean.headline.mean == pytest.approx(0.0, abs=1e-12)
    assert (mean.summary["pearson_pooled"] or 0) < -0.1
    assert (oracle.summary["external_pearson"] or 0) > 0.2
    assert mean.summary["external_pearson"] == 0.0
    trained = record("tcga_expression", NETWORK, COHORT)
    assert trained.bulk["untrained_twin"]
    assert not oracle.bulk["untrained_twin"]
    assert trained.counts["patients"] == 25
    assert trained.counts["slides"] == len(BulkStore(BULK / COHORT).slides) > 25
    assert record("tcga_expression", NETWORK, "average").headline == trained.headline
    assert [part["source"] for part in trained.weights] == ["random", "none", "none"]
    metrics = json.loads((METRICS / "tcga_expression.json").read_text())
    assert set(metrics) == set(MODELS)


def test_leaderboard_of_maps(config: Config) -> None:
    assert set(json.loads((METRICS / "gbm_spatial.json").read_text())) == {*MODELS, *MAP_CONTROLS}
    r = {name: record("gbm_spatial", name).headline.mean or 0.0 for name in (*MODELS, *MAP_CONTROLS)}
    assert r["map_neighbour_mean"] > r["bulk_oracle"] > 0.1
    assert r["bulk_train_mean"] == pytest.approx(0.0, abs=1e-9)
    constant = record("gbm_spatial", "bulk_train_mean")
    units = pd.read_parquet(SCORES / "gbm_spatial" / "bulk_train_mean" / UNITS_FILE)
    assert constant.counts["constant_maps"] == len(units)
    assert constant.bulk["co_expression"]["genes"]
    assert not np.array(constant.bulk["co_expression"]["model"]).any()
    section = SectionsStore(SECTIONS).section(0)
    maps = pd.read_parquet(SCORES / "gbm_spatial" / NETWORK / f"section_{SECTION}.parquet")
    assert len(maps) == constant.counts["tiles"] <= len(section.row)
    shown = units[units["common"]]["gene"].tolist()
    assert len(shown) <= 8
    assert {f"truth:{gene}" for gene in shown} <= set(maps.columns)


def test_the_oracle_is_asked_as_windows_and_the_map_is_their_average(config: Config) -> None:
    """Out of files alone: cells' signals averaged over tiles, then over the 2 x 2 windows that cover a tile."""
    section, store = SectionsStore(SECTIONS).section(0), BulkStore(BULK / COHORT)
    law = pd.read_parquet("data/truth/section_loadings.parquet").set_index("gene")
    gene = next(gene for gene in store.genes if law.loc[gene, "visible_share"] > 0.3)
    cells = pd.read_parquet(f"data/truth/sections/{SECTION}.parquet")
    traits = np.array([law.loc[gene, f"look_{k}"] for k in range(4)], float)
    kinds = np.array([law.loc[gene, f"kind_{k}"] for k in range(law.filter(like="kind_").shape[1])], float)
    signal = kinds[cells["kind"]] + cells.filter(like="look_").to_numpy(float) @ traits
    um = config.bulk.tile.um
    place = {(r, c): k for k, (r, c) in enumerate(zip(section.row.tolist(), section.column.tolist(), strict=True))}
    tile = np.array([place.get((int(y // um), int(x // um)), -1) for x, y in cells[["x_um", "y_um"]].to_numpy(float)])
    value = np.array([signal[tile == k].mean() if (tile == k).any() else signal.mean() for k in range(len(place))])
    total, times = np.zeros(len(place)), np.zeros(len(place))
    for r in range(section.row.max()):
        for c in range(section.column.max()):
            over = [place[at] for at in ((r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)) if at in place]
            if len(over) > 2:
                total[over] += value[over].mean()
                times[over] += 1
    table = pd.read_parquet(PREDICTIONS / "bulk" / "bulk_oracle" / "gbm_spatial" / f"{SECTION}.parquet")
    at = [place[tuple(pair)] for pair in table[["row", "column"]].to_numpy().tolist()]
    assert sorted(at) == np.flatnonzero(times).tolist()
    np.testing.assert_allclose(table[gene], (total / np.maximum(times, 1))[at], atol=2e-3)


def test_the_external_answer_is_the_mean_of_the_five_models(config: Config) -> None:
    folder = PREDICTIONS / "bulk" / "bulk_train_mean" / "tcga_expression"
    by_fold = [
        pd.read_parquet(folder / COHORT / f"{k:04d}.parquet").drop(columns=["slide", "patient"]) for k in range(5)
    ]
    table = pd.read_parquet(folder / EXTERNAL / "0000.parquet")
    genes = [name for name in table.columns if name not in ("slide", "patient")]
    expected = np.mean([part[genes].iloc[0].to_numpy(np.float64) for part in by_fold], axis=0)
    np.testing.assert_allclose(table[genes].to_numpy(), np.tile(expected, (len(table), 1)), rtol=1e-6)
    assert len(table) == len(BulkStore(BULK / EXTERNAL).slides)
    assert table["patient"].nunique() == 8


def test_the_report_has_its_boards_figures_and_the_page_of_maps(config: Config) -> None:
    paths = report.run(config)
    boards = json.loads(paths.json.read_text())["leaderboards"]
    assert {(board["protocol"], board["board"]) for board in boards} == {
        ("tcga_expression", "average"),
        ("tcga_expression", COHORT),
        ("gbm_spatial", ""),
    }
    assert paths.spatial is not None
    assert SECTION in paths.spatial.read_text()
    names = {path.name for path in paths.figures}
    assert {"violins.png", "co_expression.png"} <= names
    assert len(paths.mann_whitney.read_text().splitlines()) == 1 + len(MODELS) * (len(MODELS) - 1)
    assert "A constant map has an Earth Mover's Distance of" in paths.html.read_text().replace("&#39;", "'")


def test_a_killed_run_goes_on_to_the_same_bytes(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PREDICTIONS / "bulk" / NETWORK
    before = contents(folder)
    shutil.rmtree(UNFINISHED)
    shutil.rmtree(folder)
    whole, made = bulk_predict.run_bulk_fold, []

    def killed(task: object) -> object:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task)
        return whole(task)  # type: ignore[arg-type]

    monkeypatch.setattr(bulk_predict, "run_bulk_fold", killed)
    with pytest.raises(KeyboardInterrupt):
        bulk_predict.run(config, NETWORK)
    assert not (folder / "manifest.json").exists()
    again = []
    monkeypatch.setattr(bulk_predict, "run_bulk_fold", lambda task: again.append(whole(task)) or again[-1])
    bulk_predict.run(config, NETWORK)
    assert [now for _, _, now in again] == [False, False, True, True, True]
    assert contents(folder) == before


@pytest.mark.slow
def test_a_second_run_gives_the_same_bytes(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything anew in another folder, from the same data."""
    shutil.copytree("data", tmp_path / "data")
    shutil.copy("params.yaml", tmp_path)
    kept = {place: contents(place) for place in (BULK, SPLITS, AUDITS, SECTIONS, PREDICTIONS, SCORES, METRICS)}
    monkeypatch.chdir(tmp_path)
    run_all(read_config())
    for place, expected in kept.items():
        assert contents(place) == expected, place


def test_scored_cells_are_kept_and_a_changed_module_scores_anew(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_protocol, "score_cell", lambda task: pytest.fail(f"{task.model} was scored again"))
    for protocol in config.bulk.protocols:
        score_protocol.run(config, protocol)
    path = Path("data/meta_modules.json")
    before, names = path.read_text(), {one.name for one in (SCORED / "gbm_spatial").iterdir()}
    path.write_text(json.dumps({"only": ["GFAP"]}))
    try:
        found = {score_protocol._name(config, "gbm_spatial", model) for model in (*MODELS, *MAP_CONTROLS)}
    finally:
        path.write_text(before)
    assert len(found) == len(names) == len(MODELS) + len(MAP_CONTROLS)
    assert not found & names


def test_maps_of_other_sections_are_refused(config: Config) -> None:
    path = PREDICTIONS / "bulk" / "bulk_oracle" / "manifest.json"
    before = path.read_text()
    manifest = json.loads(before)
    manifest["cohorts"][COHORT]["sections"] = "0" * 64
    path.write_text(json.dumps(manifest))
    try:
        with pytest.raises(UserError, match="maps were made of other sections"):
            score_protocol.run(config, "gbm_spatial")
    finally:
        path.write_text(before)


def with_files(config: Config, name: str, **files: str) -> Config:
    entry = config.bulk.cohorts[name]
    changed = entry.model_copy(update={"files": {**entry.files, **files}})
    cohorts = {**config.bulk.cohorts, name: changed}
    return config.model_copy(update={"bulk": config.bulk.model_copy(update={"cohorts": cohorts})})


@pytest.fixture
def scratch(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A copy up to the audit, to plant leaks in."""
    shutil.copytree(checkout / "data", tmp_path / "data")
    for place in (BULK, SPLITS):
        shutil.copytree(checkout / place, tmp_path / place)
    shutil.copy(checkout / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert not CACHE.exists()
    return read_config()


def test_a_training_patient_in_the_external_cohort_stops_the_run(scratch: Config) -> None:
    patient = BulkStore(BULK / COHORT).patients[3]
    for name in ("reference.csv.gz", "slides.csv"):
        path = Path("data/cptac_gbm") / name
        table = pd.read_csv(path).replace("CPTM-0002", patient)
        table.to_csv(path, index=False)
    bulk.run(scratch, EXTERNAL)
    with pytest.raises(UserError, match=f"no patient of another cohort: patient {patient} is in the cohort and in"):
        bulk_audit.run(scratch)
    report_of = json.loads((AUDITS / "tcga_expression" / f"{COHORT}.json").read_text())
    assert [one["check"] for one in report_of["findings"] if one["verdict"] == "fail"] == [
        "no patient of another cohort"
    ]


@pytest.mark.parametrize(
    ("target", "stage", "message"),
    [
        ("gbm", COHORT, "no slide of two patients"),
        ("cptac_gbm", EXTERNAL, "no slide of another cohort"),
        ("normal", "phantom_normal", "no slide of another cohort"),
    ],
)
def test_a_slide_file_copied_to_another_patient_stops_the_run(
    scratch: Config, target: str, stage: str, message: str
) -> None:
    own = BulkStore(BULK / COHORT).slides
    source = own[0].path
    others = pd.read_csv(f"data/{target}/slides.csv")
    other = others[others["patient"] != own[0].patient]["path"].iloc[-3 if target == "normal" else 0]
    if target == "normal":  # the last rows are breast, which is left out
        other = others["path"].iloc[0]
    shutil.copy(Path("data") / source, Path("data") / other)
    bulk.run(scratch, stage)
    with pytest.raises(UserError, match=message):
        bulk_audit.run(scratch)


def test_a_section_of_a_training_patient_stops_the_run(scratch: Config) -> None:
    patient = BulkStore(BULK / COHORT).patients[0]
    path = Path("data/sections.csv")
    path.write_text(path.read_text().replace("UKF900,gbm", f"{patient},gbm"))
    with pytest.raises(UserError, match=f"no patient of another cohort: patient {patient} .*sections"):
        bulk_audit.run(scratch)


def test_a_section_keeps_every_tile_whatever_slides_are_allowed(scratch: Config, checkout: Path) -> None:
    """A random draw would leave holes, and windows less than half full."""
    few = scratch.bulk.model_copy(update={"tile": scratch.bulk.tile.model_copy(update={"max_tiles": 5})})
    bulk_audit.run(scratch.model_copy(update={"bulk": few}))
    assert SectionsStore(SECTIONS).hash == SectionsStore(checkout / SECTIONS).hash


def test_an_altered_split_is_not_read(scratch: Config) -> None:
    path = SPLITS / "tcga_expression" / COHORT / "rows.parquet"
    table = pd.read_parquet(path)
    first = table.index[(table["fold"] == 0) & (table["role"] == 0)][0]
    table.loc[first, "role"] = 2
    table.to_parquet(path, index=False)
    with pytest.raises(UserError, match="the split was altered"):
        bulk_audit.run(scratch)


def test_a_misspelt_reader_setting_is_named(config: Config) -> None:
    with pytest.raises(UserError, match=r"unknown key 'manifst'.*did you mean 'manifest'"):
        bulk.run(with_files(config, COHORT, manifst="x"), COHORT)


def test_a_model_of_another_task_is_named(config: Config) -> None:
    changed = config.model_copy(update={"bulk": config.bulk.model_copy(update={"models": ["uni"]})})
    with pytest.raises(UserError, match=r"'uni' answers expression protocols.*task bulk"):
        inputs.resolve(changed)
