"""PAST as a model of the suite: the contract, its two variants, its weights."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import past_model.settings
from baselines.expression.past import PAST, pairs_of
from baselines.expression.past_faithful import PASTFaithful
from baselines.expression.past_own_crop import PASTOwnCrop
from past_model.pretraining import build
from past_model.settings import CORRECTED, FAITHFUL, OWN_CROP
from past_model.tokens import RankTokeniser
from protocols.contract import HasWeights, Model, Pretrains, Settings
from protocols.errors import UserError
from protocols.expression.toy import inputs_of, toy_training
from protocols.expression.views import TrainingView
from tests.past_model.small import SMALL, TABLE_ROWS

EACH = pytest.mark.parametrize("cls", [PAST, PASTFaithful, PASTOwnCrop])
SETTINGS = Settings(threads=1)


@pytest.fixture(scope="module")
def toy() -> TrainingView:
    return toy_training(n=160, settings=SETTINGS)


def rows_of(view: TrainingView, rows: np.ndarray) -> TrainingView:
    picked = ("rows", "slide", "patient", "cancer", "xy_um", "targets", "count_matrix", "measured")
    return replace(view, **{name: getattr(view, name)[rows] for name in picked})


def answer(cls: type[PAST], train: TrainingView, test: TrainingView) -> np.ndarray:
    model = cls()
    model.pretrain(train)
    model.fit(train)
    return model.predict(inputs_of(test))


@EACH
def test_keeps_the_contract(cls: type[PAST], toy: TrainingView) -> None:
    model = cls()
    assert isinstance(model, Model)
    assert isinstance(model, Pretrains)
    assert isinstance(model, HasWeights)
    model.pretrain(toy)
    model.fit(toy)
    predicted = model.predict(inputs_of(toy))
    assert predicted.shape == (160, len(toy.genes))
    assert predicted.dtype == np.float32
    assert np.isfinite(predicted).all()
    assert {record.source for record in model.weights()} == {"random"}


@EACH
def test_reads_the_visible_genes_of_cells_it_has_not_seen(cls: type[PAST], toy: TrainingView) -> None:
    held_out = np.arange(160) % 4 == 0
    test = rows_of(toy, np.flatnonzero(held_out))
    predicted = answer(cls, rows_of(toy, np.flatnonzero(~held_out)), test)
    r = [np.corrcoef(predicted[:, gene], test.targets[:, gene])[0, 1] for gene in range(6)]
    assert np.mean(r) > 0.3


@EACH
def test_same_run_same_bytes_and_another_seed_another_answer(cls: type[PAST], toy: TrainingView) -> None:
    first = answer(cls, toy, toy)
    np.testing.assert_array_equal(answer(cls, toy, toy), first)
    assert not np.array_equal(answer(cls, replace(toy, settings=replace(SETTINGS, seed=1)), toy), first)


def test_torchs_own_state_is_left_as_found(toy: TrainingView) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    answer(PAST, toy, toy)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_answer_follows_the_rows_whatever_their_order_and_number(toy: TrainingView) -> None:
    model = PAST()
    model.pretrain(toy)
    model.fit(toy)
    whole = model.predict(inputs_of(toy))
    order = np.random.default_rng(0).permutation(160)
    np.testing.assert_allclose(model.predict(inputs_of(toy, order)), whole[order], atol=1e-4)
    parts = [model.predict(inputs_of(toy, part)) for part in np.array_split(np.arange(160), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


def test_variants_differ_in_what_they_learn(toy: TrainingView) -> None:
    answers = [answer(cls, toy, toy) for cls in (PAST, PASTFaithful, PASTOwnCrop)]
    assert not any(np.allclose(answers[i], answers[j]) for i in range(3) for j in range(i))
    assert past_model.settings.VARIANTS == {"faithful": FAITHFUL, "corrected": CORRECTED, "own_crop": OWN_CROP}


def test_what_carries_the_published_name_has_only_what_paper_or_code_has() -> None:
    assert [past_model.settings.VARIANTS[cls.variant].own_share for cls in (PAST, PASTFaithful)] == [0.0, 0.0]
    assert replace(OWN_CROP, name="corrected", own_share=0.0) == CORRECTED
    assert PASTOwnCrop.card.published == ()
    for numbers in past_model.settings.PROFILES.values():
        assert numbers.projection_dropout == 0.0  # as the release runs


def test_fit_of_one_fold_does_not_touch_the_next(toy: TrainingView) -> None:
    model, fresh = PAST(), PAST()
    for each in (model, fresh):
        each.pretrain(toy)
    model.fit(rows_of(toy, np.arange(40)))
    model.fit(toy)
    fresh.fit(toy)
    np.testing.assert_array_equal(model.predict(inputs_of(toy)), fresh.predict(inputs_of(toy)))


def test_without_pretraining_each_fit_learns_from_its_own_rows(toy: TrainingView) -> None:
    model = PAST()
    model.fit(toy)
    np.testing.assert_array_equal(model.predict(inputs_of(toy)), answer(PAST, toy, toy))


def test_predict_before_fit_is_said() -> None:
    with pytest.raises(RuntimeError, match="before fit"):
        PAST().predict(inputs_of(toy_training(n=4)))


def test_one_cell_is_enough_to_run(toy: TrainingView) -> None:
    one = rows_of(toy, np.array([0]))
    assert np.isfinite(answer(PAST, one, toy)).all()


def test_pairs_see_only_the_rows_given_and_neighbours_of_their_slide(toy: TrainingView) -> None:
    rows = np.arange(0, 160, 2)
    part = rows_of(toy, rows)
    counts, measured, genes = part.counts()
    tokeniser = RankTokeniser.fit(counts, measured, genes)
    numbers = replace(past_model.settings.MINI, max_pairs=20, radius_um=60.0)
    pairs = pairs_of(part, tokeniser, numbers)
    assert len(pairs) == 20
    place = {tuple(xy): i for i, xy in enumerate(part.xy_um.tolist())}
    slide = part.slide[[place[tuple(xy)] for xy in pairs.xy_um.tolist()]]
    for centre, near in zip(pairs.centres, pairs.neighbours, strict=True):
        for cell in near[near >= 0]:
            assert slide[cell] == slide[centre]
            assert 0 < np.linalg.norm(pairs.xy_um[cell] - pairs.xy_um[centre]) < 60
    expected = tokeniser.encode(counts, measured, genes, numbers.context_length)
    at = [place[tuple(xy)] for xy in pairs.xy_um.tolist()]
    np.testing.assert_array_equal(pairs.tokens, expected[at])


def test_unknown_profile_is_said(toy: TrainingView) -> None:
    with pytest.raises(UserError, match="did you mean 'mini'"):
        PAST().pretrain(replace(toy, settings=replace(SETTINGS, profile="mnii")))


@pytest.fixture
def small_profile(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(past_model.settings.PROFILES, "small", SMALL)
    return replace(SETTINGS, profile="small")


def entry(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_released_weights_replace_the_pretraining(small_profile: Settings, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    released = build(SMALL, FAITHFUL, TABLE_ROWS, seed=9)
    torch.save({"model": released.state_dict()}, path)
    settings = replace(small_profile, weights={"past": entry(path)})
    toy = toy_training(n=40, settings=settings)
    model = PAST()
    model.pretrain(toy)
    model.fit(toy)
    assert [(r.source, r.sha256) for r in model.weights()] == [("checkpoint.pth", entry(path)["sha256"])]
    own = model._encoder.state_dict()  # type: ignore[union-attr]
    for key, value in released.image_encoder.state_dict().items():
        assert torch.equal(own[key], value)
    with pytest.raises(UserError, match="profile: full"):
        PAST().pretrain(replace(toy, settings=replace(settings, profile="mini")))


def test_image_encoder_starts_from_unis_weights(small_profile: Settings, tmp_path: Path) -> None:
    path = tmp_path / "uni.bin"
    uni = build(SMALL, FAITHFUL, TABLE_ROWS, seed=9).image_encoder.model.state_dict()
    torch.save(uni, path)
    settings = replace(small_profile, weights={"uni": entry(path)})
    toy = toy_training(n=40, settings=settings)
    model = PAST()
    model.pretrain(toy)
    assert [record.source for record in model.weights()] == ["uni.bin", "random"]
    learnt = model._encoder.model.state_dict()["patch_embed.proj.weight"]  # type: ignore[union-attr]
    start = uni["patch_embed.proj.weight"]
    assert 0 < (learnt - start).norm() < 0.1 * start.norm()


@pytest.mark.parametrize("cls", [PAST, PASTFaithful])
def test_card_says_what_is_known(cls: type[PAST]) -> None:
    published = {entry.protocol: (entry.value, entry.spread) for entry in cls.card.published}
    assert published == {
        "intra_patient": (0.619, 0.099), "inter_patient": (0.554, 0.143), "cross_cancer": (0.319, 0.051),
    }  # fmt: skip
    assert "unverified" in cls.card.training_overlap
    assert "no licence file" in cls.card.licence
