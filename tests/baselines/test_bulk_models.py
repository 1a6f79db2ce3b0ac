"""Every model of bulk expression on slides made in memory, learnable by construction."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.bulk.he2rna import HE2RNA
from baselines.bulk.he2rna_sequoia_pretrained import HE2RNASequoiaPretrained
from baselines.bulk.nearest_slides import NearestSlides
from baselines.bulk.sequoia_vis import SequoiaViS
from baselines.bulk.sequoia_vit import SequoiaViT
from baselines.bulk.sequoia_vit_pretrained import SequoiaViTPretrained
from baselines.registry import built_in, load_model_class
from baselines.training.bulk_training import Trained
from protocols.bulk.contract import BulkModel, HasUntrainedTwin, PretrainsOnNormal
from protocols.contract import Settings
from protocols.errors import UserError
from tests.baselines.bulk_toy import ToySlides, toy

ANOTHER_FILE = "sequoia_released_weights"  # answers with published weights alone: test_released_folds
MODELS = [name for name, module in built_in().items() if module.startswith("baselines.bulk.") and name != ANOTHER_FILE]
NETWORKS = [name for name in MODELS if name.startswith(("sequoia", "he2rna"))]
PRETRAINED = [name for name in NETWORKS if name.endswith("pretrained")]
LEARNED = [*NETWORKS, "ridge_mean_feature", "nearest_slides"]
TRAIN, TEST, NORMAL = toy(100), toy(40, seed=1), toy(40, genes=15, seed=2, prefix="n")


def model_class(name: str) -> type[Any]:
    return load_model_class(name, {}, Path())


def fitted(name: str, train: ToySlides = TRAIN) -> Any:
    model = model_class(name)()
    if getattr(model, "published_schedule", False):  # 200 epochs, whatever the size: enough of them for these tests
        train = replace(train, settings=replace(train.settings, most_steps=200))
    if name in PRETRAINED:
        model.start_from(model.pretrain(replace(NORMAL, settings=train.settings)))
    model.fit(train)
    return model


@cache
def of(name: str) -> Any:
    """One fit for all the tests that only ask."""
    return fitted(name)


def error(answer: np.ndarray, slides: ToySlides = TEST) -> float:
    return float(np.square(answer - slides.targets).mean())


def mean_r(answer: np.ndarray) -> float:
    columns = range(answer.shape[1])
    return float(np.mean([np.corrcoef(answer[:, gene], TEST.targets[:, gene])[0, 1] for gene in columns]))


@pytest.mark.parametrize("name", MODELS)
def test_contract(name: str) -> None:
    model = of(name)
    assert isinstance(model, BulkModel)
    assert isinstance(model, HasUntrainedTwin) == (name in NETWORKS)
    assert isinstance(model, PretrainsOnNormal) == (name in PRETRAINED) == ("normal" in model.card.needs)
    assert (model.card.name, model.card.task) == (name, "bulk")
    answer = model.predict(TEST)
    assert answer.shape == TEST.targets.shape
    assert answer.dtype == np.float32
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(model.predict(TEST), answer)


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_does_not_depend_on_who_else_is_asked(name: str) -> None:
    model, rows = of(name), np.array([31, 4, 7])
    np.testing.assert_allclose(model.predict(TEST.take(rows)), model.predict(TEST)[rows], atol=1e-5)
    windows = replace(TEST, windows=True)
    np.testing.assert_allclose(model.predict(windows.take(rows)), model.predict(windows)[rows], atol=1e-5)


@pytest.mark.parametrize("name", ["sequoia_vit", "he2rna_sequoia_pretrained", "bulk_shuffled"])
def test_the_same_twice_and_no_global_state(name: str) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    np.testing.assert_array_equal(fitted(name).predict(TEST), of(name).predict(TEST))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", LEARNED)
def test_learned_models_beat_the_training_mean(name: str) -> None:
    """In r all of them, in error those that start at the mean."""
    answer = of(name).predict(TEST)
    assert mean_r(answer) > (0.3 if getattr(of(name), "published_schedule", False) else 0.5)  # those are capped here
    if getattr(of(name), "mean_bias", True):  # the others start at 0 and hardly learn the means in a mini's epochs
        assert error(answer) < 0.9 * error(of("bulk_train_mean").predict(TEST))


def test_controls_know_nothing_and_the_oracle_all() -> None:
    assert abs(mean_r(of("bulk_shuffled").predict(TEST))) < 0.4
    assert error(of("bulk_shuffled").predict(TEST)) > 0.8 * error(of("bulk_train_mean").predict(TEST))
    assert error(of("bulk_oracle").predict(TEST)) == 0


def test_the_mean_counts_a_patient_once() -> None:
    answer = of("bulk_train_mean").predict(TEST)
    first = np.unique(TRAIN.patient, return_index=True)[1]
    np.testing.assert_allclose(answer[0], TRAIN.targets[first].mean(axis=0), rtol=1e-5)
    assert (answer == answer[0]).all()


def test_nearest_slides_by_loop() -> None:
    features, asked = TRAIN.mean_feature().astype(float), TEST.mean_feature().astype(float)
    z, q = ((x - features.mean(axis=0)) / features.std(axis=0) for x in (features, asked))
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in z] for a in q]
    expected = [TRAIN.targets[np.argsort(row)[-10:]].mean(axis=0) for row in cosine]
    np.testing.assert_allclose(of("nearest_slides").predict(TEST), expected, rtol=1e-5)
    few = NearestSlides()
    few.fit(TRAIN.take(np.arange(4)))
    np.testing.assert_allclose(few.predict(TEST)[0], TRAIN.targets[:4].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "sequoia_as_released"])
def test_what_lies_in_absent_places_does_not_matter(name: str) -> None:
    dirty = TEST.features.copy()
    dirty[~TEST.present] = 1e3
    np.testing.assert_array_equal(
        of(name).predict(replace(TEST, features=dirty)), of(name).predict(TEST), err_msg="absent places were read"
    )
    nothing = replace(TEST, present=np.zeros_like(TEST.present), features=np.zeros_like(TEST.features), windows=True)
    assert np.isfinite(of(name).predict(nothing)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_untrained_twin(name: str) -> None:
    """It differs from the trained network, is the same whenever asked, and knows nothing that training has learned."""
    model = of(name)
    twin = model.predict_untrained(TEST)
    np.testing.assert_array_equal(model.predict_untrained(TEST), twin)
    assert np.isfinite(twin).all()
    assert np.ptp(twin, axis=0).max() > 0  # it does look at the slide
    assert error(twin) > error(model.predict(TEST))


def test_the_twin_is_the_network_before_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, torch.Tensor] = {}

    def stop_at_once(network: Any, *_: Any, **__: Any) -> Trained:
        seen.update({name: part.clone() for name, part in network.state_dict().items()})
        return Trained(0, -1)

    monkeypatch.setattr("baselines.training.bulk_training.train", stop_at_once)
    model = SequoiaViS()
    model.fit(TRAIN)
    again = model._untrained(None).state_dict()
    assert all(torch.equal(part, again[name]) for name, part in seen.items())
    np.testing.assert_array_equal(model.predict(TEST), model.predict_untrained(TEST))
    fit = TRAIN.targets[~TRAIN.validation]
    np.testing.assert_allclose(again["output.bias"], fit.mean(axis=0), rtol=1e-5)


def test_pretraining_gives_the_trunk_alone_and_is_really_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SequoiaViTPretrained()
    trunk = model.pretrain(NORMAL)
    assert all(array.dtype == np.float32 for array in trunk.values())
    assert not [name for name in trunk if name.startswith(("output", "norm"))]
    monkeypatch.setattr("baselines.training.bulk_training.train", lambda *_, **__: Trained(0, -1))
    model.start_from(trunk)
    model.fit(TRAIN)
    started: Any = model._network
    for name, part in started.trunk.state_dict().items():
        np.testing.assert_array_equal(part.numpy(), trunk[name])
    assert started.output.out_features == len(TRAIN.genes)
    assert np.abs(model.predict(TEST) - model.predict_untrained(TEST)).max() > 1e-2


def test_a_released_twin_of_he2rna_is_its_pretrained_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    class BeforeFit(HE2RNASequoiaPretrained):
        twin = "before_fit"

    trunk = HE2RNASequoiaPretrained().pretrain(replace(NORMAL, settings=Settings(threads=1, most_steps=20)))
    monkeypatch.setattr("baselines.training.bulk_training.train", lambda *_, **__: Trained(0, -1))
    fresh, released = HE2RNASequoiaPretrained(), BeforeFit()
    for model in (fresh, released):
        model.start_from(trunk)
        model.fit(TRAIN)
    np.testing.assert_array_equal(released.predict_untrained(TEST), released.predict(TEST))  # trained for no step
    assert np.abs(fresh.predict_untrained(TEST) - released.predict_untrained(TEST)).max() > 1e-3


@pytest.mark.parametrize("name", PRETRAINED)
def test_fitting_without_pretraining_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match="was not pre-trained"):
        model_class(name)().fit(TRAIN)


def test_a_wrong_trunk_is_one_line() -> None:
    model = SequoiaViTPretrained()
    trunk = model.pretrain(NORMAL)
    model.start_from({name: array for name, array in trunk.items() if name != "place"})
    with pytest.raises(UserError, match="'place' is None"):
        model.fit(TRAIN)
    model.start_from(trunk | {"place": trunk["place"][:3]})
    with pytest.raises(UserError, match=r"\(3, 12\); expected \(8, 12\)"):
        model.fit(TRAIN)
    model.start_from(trunk | {"extra": trunk["place"]})
    with pytest.raises(UserError, match="'extra'"):
        model.fit(TRAIN)


def test_other_places_or_features_are_one_line() -> None:
    with pytest.raises(UserError, match="4 places of 12 features"):
        of("sequoia_vit").predict(toy(5, places=4))
    with pytest.raises(UserError, match="8 places of 9 features"):
        of("he2rna").predict(toy(5, width=9))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "bulk_oracle"])
def test_another_cohort_may_ask_for_fewer_genes_in_another_order(name: str) -> None:
    asked = replace(TEST, genes=("g7", "g2"))
    np.testing.assert_array_equal(of(name).predict(asked), of(name).predict(TEST)[:, [7, 2]])


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'mini'"):
        SequoiaViT().fit(replace(TRAIN, settings=Settings("minni")))


@pytest.mark.parametrize("name", ["sequoia_vit", "sequoia_vis", "he2rna"])
def test_a_window_is_a_slide(name: str) -> None:
    model = of(name)
    np.testing.assert_allclose(model.predict(replace(TEST, windows=True)), model.predict(TEST), atol=1e-5)


def test_a_released_window_is_its_first_tile_alone() -> None:
    """Every other tile may change; the first, repeated at all places, gives the same answer as a slide."""
    model, windows = of("sequoia_as_released"), replace(TEST, windows=True)
    answer = model.predict(windows)
    others = windows.features.copy()
    others[:, 1:] = np.random.default_rng(0).normal(size=others[:, 1:].shape)
    np.testing.assert_array_equal(model.predict(replace(windows, features=others)), answer)
    repeated = np.repeat(TEST.features[:, :1], TEST.places, axis=1)
    as_slides = replace(TEST, features=repeated, present=np.ones_like(TEST.present))
    np.testing.assert_allclose(model.predict(as_slides), answer, atol=1e-5)
    assert np.abs(model.predict(TEST) - answer).max() > 0.1  # which is not what the window shows
    later = replace(windows, present=TEST.present & (np.arange(TEST.places) >= 1))
    second = model.predict(replace(as_slides, features=np.repeat(TEST.features[:, 1:2], TEST.places, axis=1)))
    np.testing.assert_allclose(model.predict(later), second, atol=1e-5)  # of an absent first place nothing is made


def test_tiles_of_windows_are_scored_once() -> None:
    """Twenty windows that share twelve tiles: HE2RNA's trunk sees thirteen, the absent one included."""
    rng, model = np.random.default_rng(0), of("he2rna")
    tiles = rng.normal(size=(12, TEST.width)).astype(np.float32)
    present = np.arange(TEST.places) < 7
    features = np.where(present[:, None], tiles[rng.integers(0, 12, (20, TEST.places))], 0).astype(np.float32)
    windows = replace(TEST.take(np.arange(20)), features=features, present=np.tile(present, (20, 1)), windows=True)
    seen: list[int] = []
    handle = model._network.trunk.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    answer = model.predict(windows)
    handle.remove()
    assert sum(seen) <= 13
    np.testing.assert_allclose(answer, model.predict(replace(windows, windows=False)), atol=1e-5)


def test_he2rna_never_answers_below_zero_and_starts_at_the_mean() -> None:
    low = replace(TRAIN, targets=np.maximum(TRAIN.targets - 6.0, 0.0))
    model = HE2RNA()
    model.fit(low)
    assert model.predict(TEST).min() == 0.0
    bias = model._untrained(None).state_dict()["output.bias"]
    np.testing.assert_allclose(bias, low.targets[~low.validation].mean(axis=0), rtol=1e-5)


def test_features_of_any_scale_train_alike_unless_as_released() -> None:
    """Standardised features make encoders' scales irrelevant; the release reads them raw."""
    model = HE2RNA()
    model.fit(replace(TRAIN, features=TRAIN.features * 64.0))
    asked = replace(TEST, features=TEST.features * 64.0)
    np.testing.assert_allclose(model.predict(asked), of("he2rna").predict(TEST), atol=1e-3)
    raw = of("sequoia_as_released")._network.trunk.scale
    assert (raw.mean == 0).all()
    assert (raw.spread == 1).all()


def test_published_numbers_stand_on_the_cards() -> None:
    def printed(name: str, metric: str, board: str = "") -> float:
        claims = model_class(name).card.published
        return next(claim.value for claim in claims if (claim.metric, claim.board) == (metric, board))

    assert printed("he2rna_sequoia", "well_predicted", "brca") == 1672
    assert printed("he2rna_sequoia_pretrained", "well_predicted", "paad") == 280
    assert printed("sequoia_vit", "well_predicted", "brca") == 14915
    assert printed("sequoia_vit_pretrained", "top_median_as_published", "kirp") == 0.340
    assert printed("sequoia_vit_pretrained", "external_held", "brca") == 10082
    assert printed("sequoia_vit_pretrained", "emd_own_genes") == 0.116
    counts = {name: len(model_class(name).card.published) for name in MODELS}
    assert {name: n for name, n in counts.items() if n} == {
        "sequoia_vit": 18,
        "sequoia_vit_pretrained": 18 + 7 + 18,
        "he2rna_sequoia": 18,
        "he2rna_sequoia_pretrained": 18 + 7,
    }


def test_cards_are_read_without_torch_or_sklearn() -> None:
    lines = ";".join(f"import {built_in()[name]}" for name in MODELS)
    code = f"import sys;{lines};print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
