"""Every built-in model keeps the contract, on a toy cohort in memory. Survival models: see test_survival_models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.registry import built_in, load_model_class
from protocols.bulk.checks import checks as bulk_checks
from protocols.contract import Inputs, Model, Pretrains, Settings
from protocols.contract_checks import results_of
from protocols.expression.toy import inputs_of, toy_training
from protocols.expression.views import InputView, TrainingView
from suite.engine.keys import CHECKED_STEPS

ANOTHER_FILE = {"past", "past_faithful", "past_own_crop", "sequoia_released_weights"}  # tested with their own module
CARDS = sorted(set(built_in()) - ANOTHER_FILE)
TASKS = {name: load_model_class(name, {}, Path()).card.task for name in CARDS}
NAMES = [name for name, task in TASKS.items() if task == "expression"]
ALIKE = {
    "he2rna",
    "he2rna_sequoia",
    "he2rna_sequoia_pretrained",
    "sequoia_vit",
    "sequoia_vis",
    "sequoia_vis_pretrained",
}
"""Networks of bulk expression of which a sibling is tested quickly: the same classes with other cards and numbers."""
SETTINGS = Settings(threads=1)


def _model(name: str) -> Model:
    return load_model_class(name, {}, Path())()


def _split() -> tuple[TrainingView, InputView]:
    """Both slides on both sides; the last gene is a hole on the second slide."""
    data = toy_training(n=96, genes=8, settings=SETTINGS)
    train = np.arange(96) % 3 > 0
    rows = np.flatnonzero(train)
    view = replace(
        data,
        rows=data.rows[rows],
        slide=data.slide[rows],
        patient=data.patient[rows],
        cancer=data.cancer[rows],
        xy_um=data.xy_um[rows],
        targets=data.targets[rows],
        count_matrix=data.count_matrix[rows],
        measured=data.measured[rows],
    )
    return view, inputs_of(data, np.flatnonzero(~train))


@pytest.fixture(scope="module")
def fitted() -> dict[str, tuple[Model, np.ndarray]]:
    """Each model fitted once on the same rows, with its answer."""
    train, test = _split()
    answers = {}
    for name in NAMES:
        model = _model(name)
        if isinstance(model, Pretrains):
            model.pretrain(train)
        model.fit(train)
        answers[name] = (model, model.predict(test))
    return answers


@pytest.mark.parametrize("name", CARDS)
def test_card_is_complete_and_named_like_its_module(name: str) -> None:
    cls = load_model_class(name, {}, Path())
    assert cls.__module__ == f"baselines.{cls.card.task}.{name}"
    assert cls.card.name == name
    for text in ("title", "summary", "licence", "training_overlap"):
        assert getattr(cls.card, text), text
    assert all(p.source for p in cls.card.published)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ())
        for name, task in TASKS.items()
        if task not in ("expression", "survival")
    ],
)
def test_models_of_bulk_expression_pass_their_check(name: str) -> None:
    if TASKS[name] != "bulk":
        pytest.skip(f"`slide2omics check` has no contract tests for the task {TASKS[name]!r} yet")
    model: Any = load_model_class(name, {}, Path())
    # As many updates as in the stage of contract tests: what is kept does not depend on how long a network trains.
    settings = replace(SETTINGS, most_steps=CHECKED_STEPS)
    assert [(r.check, r.problem) for r in results_of(bulk_checks(model, name, settings), model) if r.problem] == []


@pytest.mark.parametrize("name", NAMES)
def test_answer_is_float32_finite_and_of_the_right_shape(
    name: str, fitted: dict[str, tuple[Model, np.ndarray]]
) -> None:
    _, answer = fitted[name]
    assert answer.shape == (32, 8)
    assert answer.dtype == np.float32
    assert np.isfinite(answer).all()


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"st_net_own_target"}))  # st_net's code
def test_second_fit_of_a_new_instance_gives_the_same_bytes(
    name: str, fitted: dict[str, tuple[Model, np.ndarray]]
) -> None:
    train, test = _split()
    again = _model(name)
    if isinstance(again, Pretrains):
        again.pretrain(train)
    again.fit(train)
    np.testing.assert_array_equal(again.predict(test), fitted[name][1])


@pytest.mark.parametrize("name", NAMES)
def test_answer_follows_the_rows_order(name: str, fitted: dict[str, tuple[Model, np.ndarray]]) -> None:
    model, answer = fitted[name]
    _, test = _split()
    order = np.random.default_rng(1).permutation(len(test))
    shuffled = InputView(
        **{
            **{key: getattr(test, key) for key in ("genes", "settings", "crop_source")},
            **{key: getattr(test, key) for key in ("embedding_reader", "oracle_reader")},
            **{key: getattr(test, key)[order] for key in ("rows", "slide", "patient", "cancer", "xy_um")},
        }
    )
    np.testing.assert_allclose(model.predict(shuffled), answer[order], atol=1e-4)


@pytest.mark.parametrize("name", sorted({"uni", "conch", "uni_hest", "resnet50", "stain_statistics"}))
def test_reads_the_visible_gene_and_not_the_noise(name: str, fitted: dict[str, tuple[Model, np.ndarray]]) -> None:
    """The toy's first genes follow redness, which embedding and crops show; a scrambled answer would not."""
    _, test = _split()
    truth = toy_training(n=96, genes=8, settings=SETTINGS).targets[test.rows]
    r = [np.corrcoef(fitted[name][1][:, gene], truth[:, gene])[0, 1] for gene in range(4)]
    assert np.mean(r) > 0.3


def test_shuffled_and_train_mean_see_nothing(fitted: dict[str, tuple[Model, np.ndarray]]) -> None:
    train, _ = _split()
    np.testing.assert_array_equal(np.ptp(fitted["train_mean"][1], axis=0), 0)
    np.testing.assert_allclose(fitted["train_mean"][1][0], train.filled_targets().mean(0), rtol=1e-5)
    assert np.abs(fitted["shuffled"][1] - fitted["uni"][1]).max() > 0.1


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"oracle"}))
def test_a_gene_never_measured_in_training_is_answered(name: str) -> None:
    if name in ("uni_finetuned", "st_net_own_target"):
        pytest.skip("same code as st_net")
    train, test = _split()
    targets = train.targets.copy()
    targets[:, 2] = np.nan
    model = _model(name)
    model.fit(replace(train, targets=targets))
    assert np.isfinite(model.predict(test)).all()


def test_no_model_asks_an_input_for_targets() -> None:
    """The view given to predict has none, so reading them would already have failed above."""
    _, test = _split()
    assert not hasattr(test, "targets")
    assert not hasattr(test, "counts")
    assert isinstance(test, InputView)
    assert set(Inputs.__annotations__) <= set(dir(test)) | set(InputView.__annotations__)


def test_coordinates_of_an_unknown_slide_do_not_depend_on_its_other_rows() -> None:
    data = toy_training(n=60, genes=4)
    model = _model("coordinates")
    model.fit(data)
    strange = replace(inputs_of(data), slide=np.full(60, "s9"))
    few = np.arange(0, 60, 7)
    alone = replace(inputs_of(data, few), slide=np.full(len(few), "s9"))
    np.testing.assert_allclose(model.predict(alone), model.predict(strange)[few], rtol=1e-5)


def test_a_fold_of_a_group_does_not_see_the_fold_before() -> None:
    train, test = _split()
    model = _model("st_net")
    assert isinstance(model, Pretrains)
    model.pretrain(train)
    model.fit(train)
    before = model.predict(test)
    model.fit(replace(train, targets=train.targets + 5))
    assert np.abs(model.predict(test) - before).max() > 1
    model.fit(train)
    np.testing.assert_array_equal(model.predict(test), before)


def test_importing_and_fitting_a_probe_or_a_control_never_imports_torch() -> None:
    import subprocess
    import sys

    light = ["train_mean", "stain_statistics", "coordinates", "shuffled", "oracle", "uni", "plip", "uni_hest"]
    code = f"""
import sys
from pathlib import Path
from baselines.registry import load_model_class, built_in
from protocols.expression.toy import inputs_of, toy_training
data = toy_training(n=40, genes=4)
for name in {light!r}:
    model = load_model_class(name, {{}}, Path())()
    model.fit(data)
    model.predict(inputs_of(data))
for name in set(built_in()) - {ANOTHER_FILE!r}:
    load_model_class(name, {{}}, Path())
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
