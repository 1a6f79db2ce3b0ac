"""Every virtual-staining model on patches made in memory, learnable by construction."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from baselines.staining.parts.stain_colours import DAB, HAEMATOXYLIN, mixed, stain_matrix, unmixed
from protocols.contract import HasWeights, Settings
from protocols.errors import UserError
from protocols.staining.contract import StainingModel
from tests.baselines.image_toy import ToyPatches, psnr, toy

CONTROLS = {
    "ihc_identity": "IhcIdentity",
    "ihc_mean": "IhcMean",
    "ihc_stain_transfer": "IhcStainTransfer",
    "ihc_oracle": "IhcOracle",
}
PAIRED = {
    "ihc_unet": "IhcUNet",
    "past_generator": "PASTGenerator",
    "pix2pix": "Pix2pix",
    "reggan": "RegGAN",
    "reggan_nc": "RegGANNC",
    "reggan_c_r": "RegGANCR",
    "improved_diffusion": "ImprovedDiffusion",
    "improved_diffusion_learned_sigma": "ImprovedDiffusionLearnedSigma",
}
UNPAIRED = {"reggan_c": "RegGANC", "reggan_nc_as_released": "RegGANNCAsReleased"}
"""They never compare a pair, so nothing says that they must beat a control in seconds."""
CLASSES = {**CONTROLS, **PAIRED, **UNPAIRED}
NETWORKS = {**PAIRED, **UNPAIRED}
TRAIN, TEST = toy(40), toy(12, seed=1)
FEW, ASKED = toy(4, pixels=40), toy(4, seed=1, pixels=40)


def model_class(name: str) -> type[Any]:
    return getattr(import_module(f"baselines.staining.{name}"), CLASSES[name])  # type: ignore[no-any-return]


def brief(name: str) -> Any:
    """The model with a plan of four steps."""
    cls = model_class(name)
    if name in CONTROLS:
        return cls()
    return type("Brief", (cls,), {"plan": lambda self, p: replace(cls().plan(p), steps=4, crop=32)})()


@cache
def of(name: str) -> Any:
    """One brief fit for all the tests that only ask."""
    model = brief(name)
    model.fit(FEW)
    return model


def score(name: str, train: ToyPatches = TRAIN, **changes: Any) -> float:
    """PSNR on the test patches; ``changes``: class attributes in place of the model's own."""
    model = type("Changed", (model_class(name),), changes)()
    model.fit(train)
    return psnr(model.predict(TEST, np.arange(len(TEST))), TEST.truth)


@pytest.mark.parametrize("name", CLASSES)
def test_contract(name: str) -> None:
    model = of(name)
    assert isinstance(model, StainingModel)
    assert isinstance(model, HasWeights) == (name in NETWORKS)
    assert (model.card.name, model.card.task) == (name, "staining")
    assert model.card.kind == ("oracle" if name == "ihc_oracle" else "control" if name in CONTROLS else "model")
    assert model.card.licence
    assert model.card.training_overlap != "unknown"
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    rows = np.array([2, 0, 3])
    answer = model.predict(ASKED, rows)
    assert answer.shape == (3, 40, 40, 3)
    assert answer.dtype == np.uint8
    np.testing.assert_array_equal(model.predict(ASKED, rows), answer)
    np.testing.assert_array_equal(model.predict(ASKED, rows[1:2]), answer[1:2])  # no companions
    np.testing.assert_array_equal(model.predict(ASKED.take(rows), np.arange(3)), answer)
    assert model.predict(ASKED, rows[:0]).shape == (0, 40, 40, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", ["ihc_unet", "reggan_c_r", "improved_diffusion", "past_generator"])
def test_the_same_twice_and_another_seed_differs(name: str) -> None:
    rows = np.arange(4)
    again, other = brief(name), brief(name)
    again.fit(FEW)
    np.testing.assert_array_equal(again.predict(ASKED, rows), of(name).predict(ASKED, rows))
    other.fit(replace(FEW, settings=Settings(seed=5, threads=1)))
    assert (other.predict(ASKED, rows) != of(name).predict(ASKED, rows)).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_passes_of_several_patches_say_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does: several at once, filled up with repeats."""
    import baselines.staining.parts.answer as answers

    model, rows, alone = of(name), np.array([1, 3, 0]), None
    alone = model.predict(ASKED, rows).astype(int)
    monkeypatch.setattr(answers, "rows_at_once", lambda device: 2)
    together = model.predict(ASKED, rows).astype(int)
    assert np.abs(together - alone).max() <= 1


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "reggan_nc_as_released"])
@pytest.mark.parametrize("side", [48, 41])
def test_any_side_is_answered(name: str, side: int) -> None:
    asked = toy(1, pixels=side)
    assert of(name).predict(asked, np.arange(1)).shape == (1, side, side, 3)


@pytest.mark.parametrize("name", ["improved_diffusion", "improved_diffusion_learned_sigma"])
def test_noise_belongs_to_the_patch_and_the_seed(name: str) -> None:
    """Two patches of the same image get other noise by their names; the same name gets the same."""
    twins = ASKED.take(np.array([0, 0]))
    answer = of(name).predict(replace(twins, patch=np.array(["a", "b"])), np.arange(2))
    assert (answer[0] != answer[1]).any()
    named = of(name).predict(replace(twins, patch=np.array(["b", "b"])), np.arange(2))
    np.testing.assert_array_equal(named[0], answer[1])
    np.testing.assert_array_equal(named[1], answer[1])
    reseeded = replace(twins, patch=np.array(["a", "b"]), settings=Settings(seed=9, threads=1))
    assert (of(name).predict(reseeded, np.arange(2)) != answer).any()


def test_controls_by_hand() -> None:
    rows = np.arange(4)
    np.testing.assert_array_equal(of("ihc_identity").predict(ASKED, rows), ASKED.images)
    np.testing.assert_array_equal(of("ihc_oracle").predict(ASKED, rows), ASKED.truth)
    mean = of("ihc_mean").predict(ASKED, rows)
    np.testing.assert_array_equal(mean[3], np.round(FEW.truth.astype(float).mean(axis=0)))
    with pytest.raises(UserError, match="48 px; expected 40 px"):
        of("ihc_mean").predict(toy(1, pixels=48), np.arange(1))


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("ihc_identity", "ihc_oracle")])
def test_nothing_to_train_on_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match="no patch to train on"):
        model_class(name)().fit(FEW.take(np.arange(0)))


@pytest.mark.parametrize("name", ["ihc_unet", "reggan", "improved_diffusion", "past_generator"])
def test_an_unknown_profile_names_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match="did you mean 'mini'"):
        model_class(name)().fit(replace(FEW, settings=Settings("minni", threads=1)))


def test_stains_are_taken_apart_and_put_together() -> None:
    stains = stain_matrix(HAEMATOXYLIN, DAB)
    amounts = np.random.default_rng(0).uniform(0, 0.6, (50, 3)) * [1, 1, 0]
    np.testing.assert_allclose(unmixed(mixed(amounts, stains), stains), amounts, atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(stains, axis=1), 1)
    assert np.isfinite(unmixed(np.zeros((1, 3), dtype=np.uint8), stains)).all()


def test_stain_transfer_keeps_haematoxylin_and_spreads_dab() -> None:
    """Where the IHC is the H&E's haematoxylin with even DAB, the answer is exact but for rounding."""
    rng = np.random.default_rng(0)
    he, ihc = stain_matrix(HAEMATOXYLIN, (0.07, 0.99, 0.11)), stain_matrix(HAEMATOXYLIN, DAB)
    blue, zero = rng.uniform(0.1, 0.5, (4, 40, 40)), np.zeros((4, 40, 40))
    images = mixed(np.stack([blue, 0.3 + zero, zero], axis=-1), he)
    truth = mixed(np.stack([0.8 * blue, 0.2 + zero, zero], axis=-1), ihc)
    model = model_class("ihc_stain_transfer")()
    model.fit(replace(FEW, images=images, truth=truth))
    answer = model.predict(replace(ASKED, images=images), np.arange(4)).astype(int)
    assert np.abs(answer - truth).max() <= 5
    blank = replace(FEW, images=np.full_like(images, 255))
    model.fit(blank)
    assert np.isfinite(model.predict(blank, np.arange(4))).all()


def test_cards_are_read_without_torch() -> None:
    names = ", ".join(f"'{name}'" for name in CLASSES)
    code = (
        f"import sys, importlib; [importlib.import_module('baselines.staining.' + name) for name in ({names})];"
        "print({'torch', 'skimage', 'scipy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_published_numbers() -> None:
    values = {n: [(p.metric, p.value) for p in model_class(n).card.published] for n in CLASSES}
    given = {name: dict(numbers) for name, numbers in values.items() if numbers}
    assert given == {
        "past_generator": {"psnr": 25.2, "ssim_global": 0.61, "h_score_r": 0.91},
        "improved_diffusion": {"psnr": 24.3, "ssim_global": 0.57},
        "reggan": {"psnr": 23.8, "ssim_global": 0.60},
    }
    assert model_class("past_generator").card.encoder == "past"
    assert model_class("ihc_oracle").card.needs == ("oracle",)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRED)
def test_trained_models_beat_the_controls(name: str) -> None:
    found = score(name)
    assert found > max(score("ihc_identity"), score("ihc_mean")) + 3


@pytest.mark.slow
def test_misregistration_costs_and_registration_is_tolerated() -> None:
    """Pairs shifted by up to 4 px, asked about pairs that are not: both lose, R not much more than its absence.

    Without RegGAN's own misalignment of training pairs, which costs the straight ones a part of it already.
    """
    jittered = toy(40, jitter=4)
    straight, shifted = (score("reggan_nc", pairs, noise_level=0.0) for pairs in (TRAIN, jittered))
    assert shifted < straight - 1
    assert score("reggan", jittered, noise_level=0.0) > shifted - 5
