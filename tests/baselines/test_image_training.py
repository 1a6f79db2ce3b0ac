"""Batches, exact resume after a kill, and what a checkpoint may and may not be taken for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.staining.parts.pairs import Deck, Pairs, Plan, to_images, to_tensor
from baselines.training.image_training import CHECKPOINT, mixed_precision
from protocols.contract import Settings
from protocols.errors import UserError
from tests.baselines.image_toy import ToyPatches, toy

CPU = torch.device("cpu")
DATA, TEST = toy(6, pixels=32), toy(3, seed=1, pixels=32)
LEARNERS = {
    "ihc_unet": "IhcUNet",
    "past_generator": "PASTGenerator",
    "reggan": "RegGAN",
    "reggan_c": "RegGANC",
    "pix2pix": "Pix2pix",
    "improved_diffusion_learned_sigma": "ImprovedDiffusionLearnedSigma",
}


class Killed(Exception):
    pass


def brief(name: str, **changes: Any) -> Any:
    plan = Plan(2, 2e-3, steps=9, crop=32, augment=True, anneal=True, save_every=4)
    base = getattr(import_module(f"baselines.staining.{name}"), LEARNERS[name])
    return type("Brief", (base,), {"plan": lambda self, profile: replace(plan, **changes)})()


def state(model: Any) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v for n, part in model._learner.parts.items() for k, v in part.state_dict().items()}


def same(one: Any, other: Any) -> bool:
    a, b = state(one), state(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_killed_run_resumes_to_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = brief(name), brief(name)
    whole.fit(DATA)
    place = replace(DATA, workspace=tmp_path)
    learner = type(whole._learner)
    step, taken = learner.step, []

    def dies(self: Any, *arguments: Any) -> torch.Tensor:
        taken.append(1)
        if len(taken) == 7:
            raise Killed
        return step(self, *arguments)  # type: ignore[no-any-return]

    monkeypatch.setattr(learner, "step", dies)
    with pytest.raises(Killed):
        broken.fit(place)
    monkeypatch.setattr(learner, "step", step)
    again = brief(name)
    again.fit(place)
    assert again.resumed_from == 4
    assert same(again, whole)
    np.testing.assert_array_equal(again.predict(TEST, np.arange(3)), whole.predict(TEST, np.arange(3)))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    finished = brief(name)
    finished.fit(place)  # nothing left to do
    assert finished.resumed_from == 9
    assert same(finished, whole)


def test_another_runs_checkpoint_is_not_taken(tmp_path: Path) -> None:
    place = replace(DATA, workspace=tmp_path)
    brief("ihc_unet").fit(place)
    for other in (
        replace(place, settings=Settings(seed=1, threads=1)),
        replace(place, marker="PR"),
        replace(place, patch=place.patch[::-1]),
    ):
        model, fresh = brief("ihc_unet"), brief("ihc_unet")
        model.fit(other)
        fresh.fit(replace(other, workspace=None))
        assert model.resumed_from == 0
        assert same(model, fresh)
        brief("ihc_unet").fit(place)
    longer = brief("ihc_unet", steps=10)
    longer.fit(place)
    assert longer.resumed_from == 0


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be read .* delete the file"):
        brief("ihc_unet").fit(replace(DATA, workspace=tmp_path))


def test_a_checkpoint_holds_tensors_and_numbers_alone(tmp_path: Path) -> None:
    brief("reggan_c").fit(replace(DATA, workspace=tmp_path))
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["step"] == 9
    assert set(state["memory"]) == {"ihc", "he"}


def test_nothing_to_train_on_and_divergence_are_one_line() -> None:
    with pytest.raises(UserError, match="no patch to train on"):
        brief("reggan").fit(DATA.take(np.arange(0)))
    with pytest.raises(UserError, match="diverged at step 4"):
        brief("reggan", learning_rate=1e30).fit(DATA)


def test_pairs_are_read_once_and_memory_is_bounded() -> None:
    class Counted(ToyPatches):
        def he(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
            read.extend(rows.tolist())
            return super().he(rows)

    read: list[int] = []
    data = Counted(**vars(DATA))
    one = DATA.images[0].nbytes * 2
    pairs = Pairs(data, embedded=False, keep=2 * one)
    for rows in ([0, 1, 1], [1, 0], [2], [0], [1]):
        for row, (he, ihc, embedding) in zip(rows, pairs(np.array(rows)), strict=True):
            np.testing.assert_array_equal(he, DATA.images[row])
            np.testing.assert_array_equal(ihc, DATA.truth[row])
            assert embedding is None
        assert pairs._held == sum(a.nbytes + b.nbytes for a, b, _ in pairs._pairs.values()) <= 2 * one
    assert read == [0, 1, 2, 1]  # 0 was used after 1, so 1 made room for 2
    none = Pairs(data, embedded=True, keep=0)
    assert len(none(np.array([3, 4]))) == 2
    assert not none._pairs


@pytest.mark.parametrize("augment", [False, True])
def test_both_images_are_cut_and_turned_alike(augment: bool) -> None:
    data = replace(DATA, truth=255 - DATA.images)
    draws = torch.Generator().manual_seed(0)
    plan = Plan(4, 1e-3, crop=16, augment=augment)
    views = set()
    for _ in range(6):
        batch = Pairs(data, embedded=True).batch(np.array([0, 0, 1, 2]), plan, draws, CPU)
        assert batch.he.shape == (4, 3, 16, 16)
        torch.testing.assert_close(batch.he, -batch.ihc, atol=1e-6, rtol=0)
        assert batch.embedding is not None
        views.add(batch.he[0].numpy().tobytes())
    assert len(views) == 6


def test_without_a_crop_the_whole_patch_is_seen() -> None:
    batch = Pairs(DATA, embedded=False).batch(np.array([4]), Plan(1, 1e-3), torch.Generator(), CPU)
    np.testing.assert_array_equal(to_images(batch.ihc), DATA.truth[4:5])


def test_there_and_back() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    there = to_tensor(images, CPU)
    assert (float(there.min()), float(there.max())) == (-1, 1)
    np.testing.assert_array_equal(to_images(there), images)
    assert to_images(torch.full((1, 3, 1, 1), 9.0)).max() == 255


def test_a_deck_deals_every_row_once_an_epoch() -> None:
    deck, draws = Deck(5), torch.Generator().manual_seed(0)
    dealt = np.concatenate([deck.deal(3, draws) for _ in range(5)])
    for epoch in range(3):
        assert sorted(dealt[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]


def test_plans_count_and_anneal() -> None:
    assert Plan(4, 1.0, epochs=3).total(9) == 9
    assert Plan(4, 1.0, steps=7, epochs=3).total(9) == 7
    assert Plan(4, 1.0, steps=4, anneal=True).rate(3, 4) == 0.25
    assert Plan(4, 1.0, steps=4).rate(3, 4) == 1.0


def test_full_precision_on_a_cpu() -> None:
    with mixed_precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
