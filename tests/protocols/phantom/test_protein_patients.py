"""Patients of the protein phantom: stated ceilings, arrangement without trace in the means, files that readers take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from protocols.metrics.concordance import harrell
from protocols.phantom import protein_patients
from protocols.phantom.protein_cohorts import generate_patients
from protocols.phantom.protein_maps import co_occurrence, marker_maps, positive_tiles, token_file
from protocols.phantom.protein_markers import MARKERS
from protocols.phantom.protein_patients import (
    biomarkers,
    draw_factors,
    draw_response,
    log_hazard,
    log_levels,
    log_odds,
    ranked_auc,
    reachable,
)
from protocols.phantom.protein_settings import MINI_PROTEIN
from protocols.phantom.tcga_patients import follow_up
from tests.protocols.phantom.tiny import hashes

SEED = 3
TINY = replace(MINI_PROTEIN, profile="tiny", followed=24, treated=20)
NOBODY = {"lymphoid": 0.0, "myeloid": 0.0, "means": 0.0}
CD8, CD4 = MARKERS.index("CD8"), MARKERS.index("CD4")


@pytest.fixture(autouse=True, scope="module")
def small_virtual_cohorts() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protein_patients, "VIRTUAL_PATIENTS", 6000)
        patch.setattr(protein_patients, "VIRTUAL_COHORTS", 3)
        yield patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_virtual_cohorts: object) -> Path:
    out = tmp_path_factory.mktemp("patients")
    generate_patients(out, TINY, SEED, only=["nsclc-0001-he"])
    return out


def test_ceilings_are_ordered_and_hold_on_another_draw() -> None:
    stated = reachable(MINI_PROTEIN, SEED, 60.0)
    for key in ("c_index", "auc"):
        levels = [stated[key][name][key] for name in ("all", "space", "means", "none")]
        assert levels == sorted(levels, reverse=True)
        assert levels[0] > levels[1] + 0.02 > levels[2] + 0.05 > 0.62
        assert levels[3] == 0.5
    assert 0.53 < stated["auc"]["tmb"]["auc"] < stated["auc"]["pd_l1"]["auc"] < stated["auc"]["means"]["auc"]
    factors = draw_factors(11, "others", 4000)
    odds = log_odds(MINI_PROTEIN, factors, "all")
    response = draw_response(MINI_PROTEIN, np.random.default_rng(0), odds)
    assert roc_auc_score(response, odds) == pytest.approx(stated["auc"]["all"]["auc"], abs=0.03)


def test_without_effect_nothing_predicts_anything() -> None:
    nothing = replace(MINI_PROTEIN, effect_scale=0.0)
    factors = draw_factors(SEED, "nobody", 6000)
    hazard, odds = log_hazard(nothing, factors, "all"), log_odds(nothing, factors, "all")
    assert not hazard.any()
    assert not odds.any()
    time, event = follow_up(nothing.tcga, np.random.default_rng(0), hazard, 60.0)
    response = draw_response(nothing, np.random.default_rng(1), odds)
    for knowing in ("all", "space", "means"):
        would = log_hazard(MINI_PROTEIN, factors, knowing)
        assert harrell(time, event, would).value == pytest.approx(0.5, abs=0.015)
        assert roc_auc_score(response, would) == pytest.approx(0.5, abs=0.02)
    for values in biomarkers(nothing, SEED, "nobody", odds):
        assert roc_auc_score(response, values) == pytest.approx(0.5, abs=0.02)
    stated = reachable(nothing, SEED, 60.0)
    assert all(value["c_index"] == 0.5 for value in stated["c_index"].values())
    assert all(abs(value["auc"] - 0.5) < 0.02 for value in stated["auc"].values())


def test_the_area_is_that_of_scikit_learn_and_of_ties_one_half() -> None:
    rng = np.random.default_rng(2)
    label, score = rng.random(300) < 0.4, np.round(rng.standard_normal(300), 1)
    assert ranked_auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert ranked_auc(label, np.zeros(300)) == 0.5


def test_arrangement_moves_which_tiles_coincide_and_not_how_many_there_are() -> None:
    apart, mixed, near = (
        positive_tiles(MINI_PROTEIN, SEED, "somebody", NOBODY | {"lymphoid": z}) for z in (-2.5, 0.0, 2.5)
    )
    for one in (apart, mixed, near):
        np.testing.assert_array_equal(one.sum(axis=(1, 2)), 96)
        np.testing.assert_array_equal(one[CD8], mixed[CD8])
    both = [int((one[CD8] & one[CD4]).sum()) for one in (apart, mixed, near)]
    assert both[0] < both[1] < both[2]
    assert both[0] < 10
    assert both[2] > 60
    others = [k for k in range(40) if k != CD4]
    np.testing.assert_array_equal(apart[others], near[others])


def test_means_know_nothing_of_the_arrangement() -> None:
    still = np.zeros(40)
    means, factor = [], np.random.default_rng(0).standard_normal(150)
    for k, z in enumerate(factor):
        maps = marker_maps(MINI_PROTEIN, SEED, f"patient {k}", NOBODY | {"lymphoid": z, "myeloid": -z}, still)
        means.append(maps.mean(axis=(1, 2)))
    found = [abs(pearsonr(factor, np.array(means)[:, k])[0]) for k in range(40)]
    assert max(found) < 0.29
    assert np.mean(found) < 0.09


def test_levels_follow_the_factor_of_means_in_eight_markers_alone() -> None:
    factors = draw_factors(SEED, "virtual", 5000)
    levels = log_levels(MINI_PROTEIN, SEED, "virtual", factors)
    found = {marker: pearsonr(levels[:, k], factors.means)[0] for k, marker in enumerate(MARKERS)}
    assert {m for m, r in found.items() if r > 0.4} == {"CD163", "CD66b", "MMP9", "HIF1A"}
    assert {m for m, r in found.items() if r < -0.4} == {"CD8", "CD4", "CD20", "TCF-1"}
    assert sum(abs(r) < 0.06 for r in found.values()) == 32
    np.testing.assert_allclose(levels.std(axis=0), 0.30, rtol=0.05)


def test_co_occurrence_by_hand() -> None:
    """Two of eight tiles are high in each map; by chance 2 * 2 / 8 = 0.5 coincide."""
    first = np.array([[9.0, 8.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert co_occurrence(first, first, 2) == pytest.approx(2 / 0.5 - 1)
    assert co_occurrence(first, first[:, [1, 2, 3, 0]], 2) == pytest.approx(1 / 0.5 - 1)
    assert co_occurrence(first, first[:, ::-1], 2) == -1.0


def test_the_cohorts_have_the_files_that_readers_take(folder: Path) -> None:
    followed, treated = folder / "nsclc", folder / "response"
    outcome = pd.read_csv(followed / "outcome.csv")
    assert list(outcome.columns) == ["patient", "time", "event"]
    assert (outcome["time"] > 0).all()
    assert set(outcome["event"]) == {0, 1}
    response = pd.read_csv(treated / "response.csv")
    assert list(response.columns) == ["patient", "response"]
    assert set(response["response"]) == {0, 1}
    assert {"pd_l1", "tmb", "age", "stage"} <= set(pd.read_csv(treated / "clinical.csv").columns)
    for where, n, stem in ((followed, 24, "log_hazard"), (treated, 20, "probability")):
        proteins = pd.read_csv(where / "proteins.csv").set_index("patient")
        assert len(proteins) == n
        assert proteins.columns[:2].tolist() == ["mean_DAPI", "mean_CD8"]
        assert proteins.columns[40:].tolist() == [
            "niche_CD8_CD4",
            "niche_CD8_CD163",
            "niche_CD163_CD66b",
            "niche_CD4_CD66b",
        ]
        truth = pd.read_parquet(where / "truth" / "patients.parquet").set_index("patient")
        assert truth.index.tolist() == proteins.index.tolist()
        assert {f"{stem}_all", f"{stem}_space", f"{stem}_means"} <= set(truth.columns)
        # A readout of the arrangement, not the arrangement itself.
        assert 0.6 < pearsonr(proteins["niche_CD8_CD4"], truth["factor_lymphoid"])[0] < 0.99
    assert set(json.loads((followed / "truth" / "concordance.json").read_text())) == {"all", "space", "means", "none"}
    assert json.loads((treated / "truth" / "auc.json").read_text())["none"]["auc"] == 0.5


def test_tokens_are_the_maps_that_the_means_are_of(folder: Path) -> None:
    slides = pd.read_csv(folder / "nsclc" / "slides.csv")
    assert (folder / "nsclc" / "slides" / "nsclc-0001-he.ome.tif").is_file()
    assert (slides["kind"].value_counts() == 24).all()
    slides = slides[slides["encoder"] == "protein_tokens"]
    proteins = pd.read_csv(folder / "nsclc" / "proteins.csv").set_index("patient")
    for row in slides.head(3).itertuples():
        with h5py.File(folder / "nsclc" / str(row.path)) as file:
            tokens = file["features"][:]
        assert tokens.shape == (40, 384)
        np.testing.assert_allclose(tokens.astype(float).mean(axis=1), proteins.loc[row.patient].iloc[:40], atol=1e-6)


def test_twice_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    generate_patients(tmp_path, TINY, SEED, only=["nsclc-0001-he"])
    assert hashes(tmp_path) == hashes(folder)
    maps = marker_maps(TINY, SEED, "x", NOBODY, np.zeros(40))
    assert token_file(maps) == token_file(maps)
