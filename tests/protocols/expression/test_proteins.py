"""Proteins from the stored cohort to a score: folds, fits, external cohorts, and what is scored beyond correlations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score, mean_squared_error, r2_score
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from protocols.contract import Card, FloatArray, Settings
from protocols.errors import UserError
from protocols.expression.asked import asked_of, excluded
from protocols.expression.audit import audit
from protocols.expression.evidence import evidence
from protocols.expression.fit import fit, jobs, lacks
from protocols.expression.score_board import describe, score
from protocols.expression.store import CohortStore
from protocols.expression.submit import lay_out
from protocols.expression.targets import fold_targets
from protocols.expression.units import units
from protocols.registry import load_protocol
from protocols.task import Fit, Question
from tests.proteins import (
    ProteinSlide,
    external_slides,
    intensities_of,
    labels_of,
    opened,
    protein_slide,
    protein_store,
    question_of,
    settings_of,
    six_slides,
)

PREFIX = ("fold", "slide", "cell_id")


class Means:
    """Answers each unit by its place and its training mean, so that every fold model answers differently."""

    card: ClassVar[Card] = Card(name="means", title="Means")
    asked: ClassVar[list[tuple[str, ...]]] = []

    def fit(self, train: Any) -> None:
        self.mean = np.nanmean(train.targets, axis=0)

    def predict(self, test: Any) -> FloatArray:
        self.asked.append(test.genes)
        answer: FloatArray = (self.mean + 1e-3 * test.xy_um[:, 1:]).astype(np.float32)
        return answer


class Counting(Means):
    card: ClassVar[Card] = Card(name="counting", title="Counting")

    def fit(self, train: Any) -> None:
        train.counts()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return protein_store(six_slides(), tmp_path_factory.mktemp("cohort") / "dev")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return protein_store(external_slides(), tmp_path_factory.mktemp("cohort") / "tma")


def fitted(question: Question, model: Any, folder: Path) -> Path:
    """Every job of a model, its files in one folder as the engine joins them."""
    folder.mkdir(exist_ok=True)
    for job in jobs(question):
        told = Fit(question, model.card, model, Settings(), {}, folder / "work")
        fit(told, job, folder)
    return folder


def test_five_folds_hold_patients_out(store: CohortStore) -> None:
    split = load_protocol("codex_protein").split(store, settings_of(), 0)  # type: ignore[misc]
    patients = [{slide.patient for slide in store.slides_of(fold.test)} for fold in split.folds]
    assert len(split.folds) == 5
    assert sorted(patient for one in patients for patient in one if patient) == ["p1", "p2", "p3", "p4", "p5"]
    for fold, tested in zip(split.folds, patients, strict=True):
        assert tested.isdisjoint(slide.patient for slide in store.slides_of(fold.train))
        assert len(fold.train) + len(fold.test) == len(store)
        assert fold.genes == ("CD3e", "CD8", "Empty", "Pan-Cytokeratin")
    again, another = (load_protocol("codex_protein").split(store, settings_of(), seed) for seed in (0, 1))  # type: ignore[misc]
    assert [fold.test.tolist() for fold in again.folds] == [fold.test.tolist() for fold in split.folds]
    assert [fold.test.tolist() for fold in another.folds] != [fold.test.tolist() for fold in split.folds]


def test_never_more_folds_than_patients_and_small_or_unknown_slides_are_left_out(tmp_path: Path) -> None:
    slides = [*six_slides()[:3], ProteinSlide("tiny", "p9", side=3), ProteinSlide("nobody", None)]
    split = load_protocol("codex_protein").split(protein_store(slides, tmp_path), settings_of(folds=4), 0)  # type: ignore[misc]
    assert len(split.folds) == 3
    assert [one.what for one in split.excluded] == ["slide tiny", "slide nobody"]
    alone = protein_store(slides[:1], tmp_path / "one")
    assert load_protocol("codex_protein").split(alone, settings_of(), 0).folds == ()  # type: ignore[misc]


def test_a_choice_of_markers_is_by_mean_target_of_training_rows(store: CohortStore) -> None:
    split = load_protocol("codex_protein").split(store, settings_of(top_mean_genes=2), 0)  # type: ignore[misc]
    for fold in split.folds:
        mean = np.nanmean(fold_targets(store, fold.train, ("CD3e", "CD8", "Empty", "Pan-Cytokeratin")).of(
            store, fold.train), axis=0)  # fmt: skip
        assert fold.genes == tuple(
            np.array(["CD3e", "CD8", "Empty", "Pan-Cytokeratin"])[np.sort(np.argsort(-mean)[:2])]
        )


def test_the_audit_repeats_every_scale(store: CohortStore, monkeypatch: pytest.MonkeyPatch) -> None:
    question = question_of(store)
    found = {one.check: one for one in audit(question)[0]}
    assert {one.verdict for one in found.values()} == {"pass"}
    assert found["scales fitted on training units alone"].detail.startswith("99th percentile of every marker")
    leak = CohortStore(store.folder)
    leak.info = replace(store.info, measure="percentile99_all")
    noted = {one.check: one for one in audit(question_of(leak))[0]}["scales fitted on training units alone"]
    assert noted.verdict == "note"
    assert "those that are tested included" in noted.detail
    # A scale that looks at all rows while it says that it does not.
    every = np.arange(len(store))
    monkeypatch.setattr(
        "protocols.expression.audit.fold_targets", lambda s, _rows, genes: fold_targets(s, every, genes)
    )
    caught = {one.check: one for one in audit(question)[0]}["scales fitted on training units alone"]
    assert caught.verdict == "fail"


def test_a_table_of_proteins_is_recognised_whatever_its_order(tmp_path: Path) -> None:
    many = tuple(f"M{place}" for place in range(12))
    rng = np.random.default_rng(0)
    base = protein_slide(ProteinSlide("a", "p"))
    values = rng.gamma(2, 5, (len(base.units), 12)).astype(np.float32)
    first = replace(base, genes=many, intensities=values)
    entry = replace(base.entry, slide="b", patient="q")
    twin = replace(first, entry=entry, genes=many[::-1], intensities=values[::-1, ::-1])
    fresh = replace(
        first, entry=replace(entry, slide="c"), intensities=values + rng.gamma(2, 5, values.shape).astype("f4")
    )
    store = protein_store([first, twin, fresh], tmp_path)
    one, two, three = (item.tokens for item in evidence(opened(store, "dev")).items)
    assert one is not None
    assert len(one) == len(base.units)
    assert np.array_equal(one, two)
    assert not np.intersect1d(one, three).size


def test_models_of_counts_are_skipped_with_a_reason(store: CohortStore, tmp_path: Path) -> None:
    from baselines.registry import load_model_class

    question = question_of(store)
    reasons = {name: lacks(question, load_model_class(name, {}, Path()).card) for name in (
        "past", "past_faithful", "past_own_crop", "st_net_own_target", "hex", "train_mean", "oracle")}  # fmt: skip
    counts = "learns from counts, and the cohort has intensities of proteins"
    assert [name for name, reason in reasons.items() if reason == counts] == [
        "past", "past_faithful", "past_own_crop", "st_net_own_target",
    ]  # fmt: skip
    assert (reasons["hex"], reasons["train_mean"]) == ("", "")
    assert "known truth" in reasons["oracle"]
    with pytest.raises(UserError, match=r'counts were asked for.*name "counts" in the needs'):
        fitted(question, Counting, tmp_path)


def ssim(truth: Any, said: Any) -> float:
    """Of two maps of 9 x 9 tiles, row by row."""
    maps = [np.asarray(one, dtype=np.float64).reshape(9, 9) for one in (truth, said)]
    return float(structural_similarity(*maps, win_size=7, data_range=1.0))


def test_every_number_of_a_board_by_other_libraries(store: CohortStore, tmp_path: Path) -> None:
    question = question_of(store)
    found = score(question, fitted(question, Means, tmp_path))
    rows, f1, ceiling = [], {}, {}
    for fold in question.split.folds:
        table = pd.read_parquet(tmp_path / f"{int(fold.name[-1]):04d}.parquet")
        raw = store.intensities(fold.train, fold.genes).astype(np.float64)
        scale = np.nanpercentile(raw, 99, axis=0)
        scale[scale == 0] = 1.0
        training = np.clip(raw / scale, 0, 1)
        for slide in store.slides_of(fold.test):
            spec = next(one for one in six_slides() if one.slide == slide.slide)
            told = table[table["slide"].astype(str) == slide.slide]
            for gene in fold.genes:
                if gene not in spec.markers:
                    continue
                if gene == "Empty":  # no correlation, but an error and a map
                    row = [slide.patient, slide.slide, *[np.nan] * 3, np.mean(told[gene] ** 2)]
                    rows.append([*row, ssim(np.zeros(81), told[gene].to_numpy())])
                    continue
                truth = intensities_of(spec)[:, spec.markers.index(gene)] / scale[fold.genes.index(gene)]
                truth, said = np.clip(truth, 0, 1).astype(np.float32), told[gene].to_numpy()
                row = [slide.patient, slide.slide, pearsonr(truth, said).statistic, spearmanr(truth, said).statistic]
                rows.append([*row, r2_score(truth, said), mean_squared_error(truth, said), ssim(truth, said)])
            labels = np.where(np.arange(spec.side**2) % 7 == 0, "", labels_of(spec))
            if not spec.annotated:
                continue
            have = [gene for gene in fold.genes if gene in spec.markers]
            names = store.cell_type
            assert names is not None
            annotated = names[fold.train] != ""
            columns = [fold.genes.index(gene) for gene in have]
            usable = [c for c in columns if np.isfinite(training[annotated][:, c]).all()]
            scaler = StandardScaler().fit(training[annotated][:, usable])
            with pytest.warns(UserWarning, match="zero standard deviation"):  # of the marker that is nothing
                classifier = NearestCentroid().fit(
                    scaler.transform(training[annotated][:, usable]), names[fold.train][annotated]
                )
            own = np.stack([intensities_of(spec)[:, spec.markers.index(fold.genes[c])] for c in usable], axis=1)
            true = np.clip(own / scale[usable], 0, 1)
            guess = told[[fold.genes[c] for c in usable]].to_numpy(float)
            for kept, values in ((f1, guess), (ceiling, true)):
                said = classifier.predict(scaler.transform(values))[labels != ""]
                kept[slide.patient, slide.slide] = f1_score(labels[labels != ""], said, average="macro")
    frame = pd.DataFrame(rows, columns=["patient", "slide", "r", "rho", "r2", "mse", "ssim"])
    mean = frame.groupby(["patient", "slide"]).mean(numeric_only=True).groupby("patient").mean().mean()
    for key, column in {
        "pearson_per_slide": "r", "spearman_per_slide": "rho", "r_squared": "r2", "mse_per_slide": "mse",
        "ssim_of_maps": "ssim",
    }.items():  # fmt: skip
        assert found.summary[key] == pytest.approx(mean[column], rel=1e-4), key
    assert found.headline.mean == found.summary["pearson_per_slide"]
    for key, values in {"cell_type_f1": f1, "cell_type_f1_of_truth": ceiling}.items():
        by_patient = pd.Series(values).groupby(level=0).mean()
        assert found.summary[key] == pytest.approx(by_patient.mean(), abs=1e-9), key
    assert found.counts["cell_type_f1_undefined"] == 1  # the slide that nobody annotated
    assert found.counts["constant_truth"] == 6  # the marker that is nothing, on every slide
    assert found.counts["r_squared_undefined"] == 6 + 1  # and the one that a slide lacks
    assert found.counts["ssim_of_maps_undefined"] == 1
    assert set(found.summary) == {metric.key for metric in question.protocol.metrics} | {
        "pearson_invisible_genes_low", "pearson_invisible_genes_high", "reachable_mean"}  # fmt: skip
    json.dumps([found.summary, found.counts, found.per_gene, dict(found.details)], allow_nan=False)
    table = found.tables["units.parquet"]
    assert {"r_squared", "ssim_of_maps"} <= set(table.columns)
    best = table[(table["slide"] == "s1") & (table["gene"] == "CD8")]["r_squared"].item()
    assert best == pytest.approx(frame[frame["slide"] == "s1"]["r2"].iloc[1], rel=1e-4)
    told = describe(question)
    assert (told["unit"], told["measure"], told["n_folds"]) == ("tile", "percentile99", 5)
    assert told["n_annotated"] == sum(labels_of(one).size - 12 for one in six_slides() if one.annotated)
    assert told["target"].startswith("each marker divided by its 99th percentile over the training units")


def test_an_external_cohort_gets_the_mean_of_five_models(
    store: CohortStore, other: CohortStore, tmp_path: Path
) -> None:
    own = question_of(store, other)
    Means.asked.clear()
    folder = fitted(own, Means, tmp_path)
    assert set(Means.asked) == {own.split.folds[0].genes}  # a model is asked for what it was fitted on, everywhere
    question = question_of(store, other, external=True)
    (fold,) = asked_of(question).folds
    assert fold.genes == ("CD8", "Pan-Cytokeratin")  # those of both
    assert len(fold.test) == len(other)
    answers = [pd.read_parquet(folder / f"external/tma/{number:04d}.parquet") for number in range(5)]
    assert answers[0].columns.tolist() == ["slide", "cell_id", *fold.genes]
    found = score(question, folder)
    # By hand: means of training rows of each fold, their mean, and the scale of all development units.
    everything = np.concatenate(
        [intensities_of(one)[:, [one.markers.index(g) for g in fold.genes]] for one in six_slides()]
    )
    scale = np.percentile(everything.astype(np.float64), 99, axis=0)
    predicted = np.mean([table[list(fold.genes)].to_numpy(np.float64) for table in answers], axis=0)
    assert np.ptp([table["CD8"].iloc[0] for table in answers]) > 1e-3  # they do differ
    r2, r = [], []
    for place, spec in enumerate(external_slides()):
        rows = slice(81 * place, 81 * (place + 1))
        for column, gene in enumerate(fold.genes):
            truth = np.clip(intensities_of(spec)[:, spec.markers.index(gene)] / scale[column], 0, 1)
            r2.append(r2_score(truth, predicted[rows, column]))
            r.append(pearsonr(truth, predicted[rows, column]).statistic)
    assert found.summary["r_squared"] == pytest.approx(np.mean(r2), rel=1e-4)
    assert found.headline.mean == pytest.approx(np.mean(r), rel=1e-4)
    told = describe(question)
    assert (told["name"], told["fitted_on"], told["n_folds"], told["n_cells"]) == ("tma", "dev", 1, 162)
    listed = pd.concat(units(question))
    assert (set(listed["role"]), set(listed["fold"]), len(listed)) == ({"test"}, {"tma"}, 162)


def test_an_external_cohort_without_a_common_marker_is_refused(store: CohortStore, tmp_path: Path) -> None:
    strange = protein_store(
        [ProteinSlide("x", "q", markers=("Other",)), ProteinSlide("y", "q2", ("Other",), side=3)], tmp_path
    )
    question = question_of(store, strange, external=True)
    with pytest.raises(UserError, match=r"no marker in common.*rename the markers"):
        asked_of(question)
    assert [one.what for one in excluded(question)] == ["slide y"]
    assert excluded(question_of(store)) == []


def test_cells_are_not_asked_of_models_of_tiles(store: CohortStore, tmp_path: Path) -> None:
    cells = protein_store(external_slides(), tmp_path / "tma", unit="cell")
    with pytest.raises(UserError, match=r"its units are cells, those of .* tiles"):
        asked_of(question_of(store, cells, external=True))


@pytest.mark.parametrize("external", [False, True])
def test_a_table_handed_in_is_scored_as_a_models_own(
    store: CohortStore, other: CohortStore, tmp_path: Path, external: bool
) -> None:
    own = question_of(store, other)
    folder = fitted(own, Means, tmp_path / "own")
    question = question_of(store, other, external=external)
    asked = asked_of(question)
    if external:
        tables = [pd.read_parquet(folder / f"external/tma/{number:04d}.parquet") for number in range(5)]
        mean = np.mean([one[["CD8", "Pan-Cytokeratin"]].to_numpy(np.float64) for one in tables], axis=0)
        table = tables[0].assign(CD8=mean[:, 0], **{"Pan-Cytokeratin": mean[:, 1]})
    else:
        tables = [pd.read_parquet(folder / f"{number:04d}.parquet") for number in range(5)]
        table = pd.concat([one.assign(fold=fold.name) for one, fold in zip(tables, asked.folds, strict=True)])
    (tmp_path / "theirs").mkdir()
    lay_out(question, table.sample(frac=1, random_state=0), tmp_path / "theirs", "theirs.csv")
    first, second = score(question, folder), score(question, tmp_path / "theirs")
    assert {name: value is None for name, value in second.summary.items()} == {
        name: value is None for name, value in first.summary.items()
    }
    for name, value in first.summary.items():
        assert value is None or second.summary[name] == pytest.approx(value, rel=1e-5), name
    assert second.per_patient == pytest.approx(dict(first.per_patient), rel=1e-5)
    assert second.counts == first.counts
    with pytest.raises(UserError, match="columns missing, first 'CD8'"):
        lay_out(question, table.drop(columns="CD8"), tmp_path / "theirs", "theirs.csv")
    hidden = table.copy()
    gone = hidden["slide"].astype(str).isin(["s1", "e1"]) & hidden["cell_id"].str.endswith("0")
    hidden.loc[gone, list(asked.folds[0].genes)] = np.nan
    (tmp_path / "hidden").mkdir()
    lay_out(question, hidden, tmp_path / "hidden", "theirs.csv")
    answered = score(question, tmp_path / "hidden").answered
    assert answered is not None
    assert answered.missing == gone.sum() == 9


def test_cells_have_no_map_and_a_cohort_without_annotation_no_cell_types(tmp_path: Path) -> None:
    slides = [ProteinSlide(f"s{place}", f"p{place}", annotated=False) for place in range(3)]
    store = protein_store(slides, tmp_path / "cells", "arcsinh", unit="cell")
    assert "cell_type" not in store.units
    question = question_of(store)
    found = score(question, fitted(question, Means, tmp_path))
    assert [found.summary[key] for key in ("ssim_of_maps", "cell_type_f1", "cell_type_f1_of_truth")] == [None] * 3
    assert (found.counts["ssim_of_maps_undefined"], found.counts["cell_type_f1_undefined"]) == (12, 3)
    assert [one.check for one in audit(question)[0] if "scales" in one.check] == []  # it has none
    assert describe(question)["n_annotated"] == 0


def test_who_answers_for_an_external_cohort_needs_its_truth_too(store: CohortStore, other: CohortStore) -> None:
    question = question_of(store, other)
    known: Any = SimpleNamespace(**vars(question.cohort.entry) | {"truth": Path("truth")})
    told = replace(question.cohort, request=replace(question.cohort.request, entry=known))
    card = Card(name="o", title="O", needs=("oracle",))
    assert lacks(replace(question, cohort=told), card) == "needs a known truth, and tma has none"
