"""Units declared missing: who is, what they count as, and single-cell expression from a table to its scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from protocols import declared
from protocols.contract import Card
from protocols.declared import Answered, empty_rows, refuse_holes, worst_values
from protocols.errors import UserError
from protocols.expression.score_board import score
from protocols.expression.settings import ExpressionSettings
from protocols.expression.submit import lay_out
from protocols.float32 import as_float32, refuse_lost
from protocols.metric import Metric
from protocols.protocol import Board
from protocols.questions.inter_patient import PROTOCOL
from protocols.task import CohortRequest, Opened, Question
from suite.engine.scoring import metrics_of, notes_of
from tests.cohorts import SlideSpec, store_of

R = Metric("r", "Pearson r", "of genes", nothing=0.0)
NAMES = ["a", "b", "c"]


def test_a_unit_is_declared_missing_by_a_row_without_any_value() -> None:
    values = pd.DataFrame({"x": [1.0, None, None], "y": [None, None, 2.0]})
    assert empty_rows(values, NAMES) == {"b"}


def test_only_a_declared_unit_may_have_no_value_and_it_has_none_at_all() -> None:
    def refused(values: np.ndarray, declared: set[str]) -> str:
        try:
            refuse_holes(values, ("x", "y"), NAMES, declared, where="a table", remedy="mend it")
        except UserError as error:
            return error.what
        return ""

    values = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
    assert refused(values, set()) == "a value is not finite: x of b is nan"
    assert refused(values, {"b"}) == ""
    assert refused(values, {"b", "c"}) == "x of c is 3.0"  # declared missing, and there
    assert refused(np.where(np.isnan(values), np.inf, values), {"b"}) == "a value is not finite: x of b is inf"
    values[0, 1] = np.nan
    assert refused(values, {"b"}) == "a value is not finite: y of a is nan"


def test_what_is_declared_is_kept_beside_the_answers(tmp_path: Path) -> None:
    declared.write(tmp_path, {"0": (), "1": ()}, 3, "t.csv")
    assert (list(tmp_path.iterdir()), declared.read(tmp_path)) == ([], {})
    declared.write(tmp_path, {"0": ("b", "a"), "1": ()}, 3, "t.csv")
    assert declared.read(tmp_path) == {"0": {"a", "b"}}
    with pytest.raises(UserError, match=r"t\.csv: every unit is declared missing"):
        declared.write(tmp_path, {"0": NAMES}, 3, "t.csv")


def test_worst_values_by_hand() -> None:
    truth = np.array([[0.0, 5.0], [10.0, 5.0], [2.0, 1.0], [8.0, 9.0]])
    predicted = np.array([[3.0, 7.0], [6.0, 7.0], [np.nan] * 2, [np.nan] * 2])
    # The third lies below the first gene's mean (5) and the second's (5): it gets the upper end; the fourth the lower.
    np.testing.assert_array_equal(worst_values(truth, predicted), [[3, 7], [6, 7], [6, 7], [3, 7]])
    nothing = worst_values(truth, np.full((4, 2), np.nan))
    assert [np.corrcoef(nothing[:, g], truth[:, g])[0, 1] for g in (0, 1)] == pytest.approx([-1, -1])
    whole = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(worst_values(truth, whole), whole)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_hiding_a_models_worst_units_does_not_pay(share: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(60, 1))
        predicted = 0.6 * truth + rng.normal(size=(60, 1))
        gap = np.abs((predicted - predicted.mean()) / predicted.std() - truth)[:, 0]
        hidden = np.where((gap >= np.quantile(gap, 1 - share))[:, None], np.nan, predicted)
        r = [np.corrcoef(values[:, 0], truth[:, 0])[0, 1] for values in (predicted, worst_values(truth, hidden))]
        assert r[1] < r[0]


def test_what_stands_beside_the_headline_and_is_shown_where_somebody_declared() -> None:
    found = Answered(asked=373, missing=9, headline=0.56, units="patients")
    assert declared.beside(R, 0.5, found) == {"r_answered": 0.56, "answered_share": pytest.approx(364 / 373)}
    assert declared.beside(R, 0.5, None) == {"r_answered": 0.5, "answered_share": 1.0}
    scored: Any = SimpleNamespace(answered=found, notes=("a note",))
    whole: Any = SimpleNamespace(answered=None, notes=("a note",))
    keys = [[metric.key for metric in metrics_of(PROTOCOL, one)] for one in (scored, whole)]
    assert keys[0] == [*keys[1], "pearson_per_slide_answered", "answered_share"]
    told: Any = SimpleNamespace(card=Card(name="m", title="M", task="expression"))
    assert notes_of(PROTOCOL, told, scored) == [
        "9 of 373 patients were declared missing and count as the worst answer; over the others alone, Pearson r is "
        "0.560",
        "a note",
    ]
    control: Any = SimpleNamespace(card=Card(name="m", title="M", task="expression", kind="control"))
    assert notes_of(PROTOCOL, control, scored) == []


def test_tables_whose_scale_float32_cannot_hold() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3))
    refuse_lost(values, NAMES, "t.csv")
    refuse_lost(values * [1.0, 1e-300, 1.0], NAMES, "t.csv")  # one gene given up is no mistake
    refuse_lost(values * 0, NAMES, "t.csv")
    with pytest.raises(UserError, match=r"t\.csv: 3 of 3 columns lie below 1\.2e-38 throughout, first a.*multiply"):
        refuse_lost(values * 1e-300, NAMES, "t.csv")
    assert np.isinf(as_float32(np.array([1e300]))).all()


# Single-cell expression.
@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Question:
    folder = tmp_path_factory.mktemp("cohort")
    store = store_of([SlideSpec("s1", "p1", "breast"), SlideSpec("s2", "p2", "breast")], folder)
    entry: Any = SimpleNamespace(truth=None, published_in=None)
    opened = Opened(CohortRequest("expression", "c", entry, ExpressionSettings(), 0), store, "", folder)
    split = PROTOCOL.split(store, ExpressionSettings(), 0)  # type: ignore[misc]
    return Question(PROTOCOL, Board(PROTOCOL.name, "c", "c", "c"), opened, {}, split, 0)


def noisy(question: Question) -> pd.DataFrame:
    store, parts = question.cohort.store, []
    for fold in question.split.folds:
        truth = store.targets(fold.test, fold.genes)
        values = truth + np.random.default_rng(1).normal(0, 0.5, truth.shape)
        part = pd.DataFrame(values, columns=list(fold.genes))
        part.insert(0, "fold", fold.name)
        part.insert(1, "slide", [store.slides[at].slide for at in store.slide_index[fold.test]])
        part.insert(2, "cell_id", store.units["cell_id"].to_numpy()[fold.test])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def scored(question: Question, table: pd.DataFrame, folder: Path) -> Any:
    folder.mkdir()
    lay_out(question, table, folder, "theirs.csv")
    return score(question, folder)


def test_cells_declared_missing(question: Question, tmp_path: Path) -> None:
    table = noisy(question)
    genes = [name for name in table.columns if name not in ("fold", "slide", "cell_id")]
    whole = scored(question, table, tmp_path / "whole")
    assert (whole.answered, whole.notes) == (None, ())
    gone = table.index % 5 == 0
    hidden = table.copy()
    hidden.loc[gone, genes] = np.nan
    found = scored(question, hidden, tmp_path / "hidden")
    assert (found.answered.missing, found.answered.asked) == (gone.sum(), len(table))
    assert found.headline.mean < whole.headline.mean - 0.1
    assert found.answered.headline == pytest.approx(whole.headline.mean, abs=0.05)
    # By hand: r of each slide and gene over the cells that were answered.
    store, r = question.cohort.store, []
    for fold in question.split.folds:
        part = hidden[hidden["fold"] == fold.name]
        kept = part[genes].notna().any(axis=1).to_numpy()
        truth = store.targets(fold.test, fold.genes)[kept]
        told = part[list(fold.genes)].to_numpy(np.float32)[kept]
        r.append(np.mean([np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, told.T, strict=True)]))
    assert found.answered.headline == pytest.approx(np.mean(r), abs=1e-6)
    hidden.loc[1, genes[0]] = np.nan
    with pytest.raises(UserError, match=r"is nan; expected finite numbers.*leave its values empty to declare it"):
        scored(question, hidden, tmp_path / "hole")
    with pytest.raises(UserError, match=r"columns lie below 1\.2e-38"):
        scored(question, table.assign(**(table[genes] * 1e-300)), tmp_path / "tiny")


def test_a_sealed_hole_that_nobody_declared_is_refused(question: Question, tmp_path: Path) -> None:
    table = noisy(question)
    genes = [name for name in table.columns if name not in ("fold", "slide", "cell_id")]
    table.loc[table.index % 5 == 0, genes] = np.nan
    scored(question, table, tmp_path / "out")
    (tmp_path / "out" / declared.FILE).unlink()
    with pytest.raises(UserError, match="finite numbers"):
        score(question, tmp_path / "out")
