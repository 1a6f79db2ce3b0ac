"""Measures: each by hand, the scale of training units alone, and what the leak of a scale of all units would do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import pearsonr

from protocols.errors import UserError
from protocols.expression.measures import DEFAULTS, MEASURES, divisor_of, fit_scale, measure_named
from protocols.expression.roles import boards, companions, measure_of
from protocols.expression.settings import ExpressionSettings, SlidesEntry
from protocols.expression.store import CohortStore
from protocols.expression.targets import fold_targets
from protocols.registry import load_protocol
from protocols.task import CohortRequest
from tests.proteins import MARKERS, ProteinSlide, protein_slide, protein_store, settings_of, six_slides

BINS = 50
"""Of a smoothing over targets in [0, 1]."""


def test_each_measure_by_hand() -> None:
    values = np.array([[-1.0, 0.0], [51.0, 5.0], [255.0, np.nan]], dtype=np.float32)
    by_hand = {
        "raw": values,
        "unit8": values / 255,
        "log1p": [[0, 0], [np.log(52), np.log(6)], [np.log(256), np.nan]],
        "arcsinh": [[np.arcsinh(-0.2), 0], [np.arcsinh(10.2), np.arcsinh(1)], [np.arcsinh(51), np.nan]],
        # Of -1, 51, 255 the 99th percentile is 51 + .98 x 204; of 0 and 5 it is 4.95.
        "percentile99": [[0, 0], [51 / 250.92, 1], [1, np.nan]],
        "percentile99_all": [[0, 0], [51 / 250.92, 1], [1, np.nan]],
    }
    assert set(by_hand) | {"log_cp10k"} == set(MEASURES)
    for name, expected in by_hand.items():
        scale = fit_scale(MEASURES[name], ("a", "b"), lambda gene: values[:, "ab".index(gene)])
        found = scale.targets(values)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)


def test_a_marker_of_few_units_or_of_none_is_divided_by_something() -> None:
    rare = np.zeros(1000, dtype=np.float32)
    rare[:5] = (3, 9, 2, 4, 1)
    assert divisor_of(rare) == 9.0  # its 99th percentile is nothing
    assert divisor_of(np.zeros(4, dtype=np.float32)) == 1.0
    assert divisor_of(np.full(4, -2.0, dtype=np.float32)) == 1.0
    assert divisor_of(np.full(4, 7.0, dtype=np.float32)) == 7.0
    assert divisor_of(np.full(4, np.nan, dtype=np.float32)) == 1.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return protein_store(six_slides(), tmp_path_factory.mktemp("dev"))


def test_intensities_come_back_as_they_were_read(store: CohortStore) -> None:
    rows = np.array([300, 2, 81, 1])
    found = store.intensities(rows, ["CD3e", "CD8"])
    for place, row in enumerate(rows):
        slide = store.slides[store.slide_index[row]]
        spec = next(one for one in six_slides() if one.slide == slide.slide)
        data = protein_slide(spec)
        assert data.intensities is not None
        own = data.intensities[row - slide.start]
        for column, marker in enumerate(("CD3e", "CD8")):
            if marker in spec.markers:
                assert found[place, column] == own[spec.markers.index(marker)]
            else:
                assert np.isnan(found[place, column])
    assert isinstance(store.mapped(0), np.memmap)
    labels = store.cell_type
    assert labels is not None
    assert set(labels) == {"", "T cell", "tumour"}
    assert set(labels[store.slides[2].start : store.slides[2].stop]) == {""}  # the slide that nobody annotated


def test_counts_of_proteins_are_refused_in_one_line(store: CohortStore) -> None:
    for asked in (store.counts, store.targets):
        with pytest.raises(UserError, match=r"counts were asked for.*intensities.*needs"):
            asked(np.array([0]), ["CD8"])


def test_a_scale_is_of_training_rows_alone(store: CohortStore, tmp_path: Path) -> None:
    """A test slide's huge value moves nothing of what is learnt: not the scale, and not a byte of a target."""
    split = load_protocol("codex_protein").split(store, settings_of(), 0)  # type: ignore[misc]
    for fold in split.folds:
        tested = {slide.slide for slide in store.slides_of(fold.test)}
        changed = []
        for spec in six_slides():
            data = protein_slide(spec)
            assert data.intensities is not None
            changed.append(
                replace(data, intensities=data.intensities * np.float32(1e4)) if spec.slide in tested else data
            )
        other = protein_store(changed, tmp_path / fold.name)
        genes = fold.genes
        first, second = (fold_targets(one, fold.train, genes) for one in (store, other))
        assert first.scale is not None
        assert second.scale is not None
        assert first.scale.divisor.tobytes() == second.scale.divisor.tobytes()
        assert first.of(store, fold.train).tobytes() == second.of(other, fold.train).tobytes()
        # Against numpy on the very rows, marker by marker.
        for gene, divisor in zip(genes, first.scale.divisor, strict=True):
            seen = store.intensities(fold.train, [gene])[:, 0].astype(np.float64)
            expected = np.quantile(seen[np.isfinite(seen)], 0.99)
            assert divisor == pytest.approx(expected if expected > 0 else 1.0, rel=1e-12)
        leak = replace(store.info, measure="percentile99_all")
        leaky, moved = (CohortStore(one.folder) for one in (store, other))
        for one in (leaky, moved):
            one.info = leak
        scales = [fold_targets(one, fold.train, genes).scale for one in (leaky, moved)]
        assert not np.array_equal(scales[0].divisor, scales[1].divisor)  # type: ignore[union-attr]


def test_what_a_scale_of_all_units_would_change(tmp_path: Path) -> None:
    """Correlations move by clipping alone; squared errors and bins of targets move with the scale."""
    slides = [ProteinSlide("a", "p1", side=20), ProteinSlide("b", "p2", side=20, gain=4.0)]
    found, names = {}, ("raw", "percentile99", "percentile99_all")
    train, test = np.arange(400), np.arange(400, 800)
    for name in names:
        store = protein_store(slides, tmp_path / name, name)
        found[name] = fold_targets(store, train, MARKERS[:3]).of(store, test).astype(np.float64)
    guess = np.random.default_rng(0).uniform(size=400)
    for marker in range(3):
        raw, own, leak = (found[name][:, marker] for name in names)
        inside = (own < 1) & (leak < 1)
        r = [pearsonr(guess[inside], one[inside]).statistic for one in (raw, own, leak)]
        assert np.ptp(r) < 1e-6  # not clipped: the same but for a factor
        assert (own == 1).mean() > 0.3  # the brighter slide is clipped by the scale that may be known
        assert (leak == 1).mean() < 0.05
        assert np.abs(np.mean((guess - own) ** 2) - np.mean((guess - leak) ** 2)) > 0.01
        bins = [np.minimum((one * BINS).astype(int), BINS - 1) for one in (own, leak)]
        assert (bins[0] != bins[1]).mean() > 0.9
        assert raw.max() > 1


def entry(measure: str | None = None, external: str | None = None, reader: str = "spot_table") -> SlidesEntry:
    return SlidesEntry(reader=reader, root=Path(), manifest=Path("slides.csv"), measure=measure, external=external)


def requests(**entries: SlidesEntry) -> dict[str, CohortRequest]:
    return {name: CohortRequest("expression", name, one, ExpressionSettings(), 0) for name, one in entries.items()}


def test_which_cohorts_a_protocol_asks() -> None:
    cohorts = requests(
        genes=entry(), codex=entry("percentile99"), tma=entry("percentile99", "codex"), other=entry("raw")
    )
    of_genes, of_proteins, external = (
        load_protocol(name) for name in ("inter_patient", "codex_protein", "codex_external")
    )
    assert [board.name for board in boards(of_genes, cohorts)] == ["genes"]
    assert [board.name for board in boards(of_proteins, cohorts)] == ["codex", "other"]
    (board,) = boards(external, cohorts)
    assert (board.cohort, board.fitted_on) == ("tma", "codex")
    assert companions(of_proteins, "codex", cohorts) == ["tma"]
    assert companions(of_proteins, "other", cohorts) == []
    assert companions(of_genes, "genes", cohorts) == []
    assert DEFAULTS["counts"] is measure_of(cohorts["genes"])


@pytest.mark.parametrize(
    ("cohorts", "protocol", "said"),
    [
        ({"g": entry()}, "codex_protein", r"no cohort for codex_protein.*a cohort of intensities with folds"),
        ({"c": entry("raw")}, "codex_external", "no cohort for codex_external.*a cohort with external"),
        ({"c": entry("raw")}, "intra_patient", "no cohort for intra_patient.*a cohort of counts with folds"),
        ({"c": entry("raw"), "t": entry("raw", "cc")}, "codex_protein", "external is 'cc'.*did you mean 'c'"),
        ({"g": entry(), "t": entry("raw", "g")}, "codex_protein", "external is 'g'"),
        ({"c": entry("raw"), "t": entry("log1p", "c")}, "codex_protein", "measure is log1p, that of c is raw"),
        ({"c": entry("raw"), "t": entry(None, "c")}, "codex_protein", "measure log_cp10k is of counts"),
        ({"c": entry("percentil99")}, "codex_protein", "percentile99"),
    ],
)
def test_what_is_refused(cohorts: dict[str, SlidesEntry], protocol: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"(?s){said}"):
        boards(load_protocol(protocol), requests(**cohorts))


def test_a_measure_and_what_was_read_must_agree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="measure log_cp10k is of counts, and these are intensities"):
        protein_store(six_slides()[:1], tmp_path / "a", "log_cp10k")
    data = protein_slide(six_slides()[0])
    holes: Any = np.where(np.arange(len(data.units))[:, None] == 3, np.nan, data.intensities)
    with pytest.raises(UserError, match="4 of them not finite"):
        protein_store([replace(data, intensities=holes)], tmp_path / "b")
    with pytest.raises(UserError, match="unknown measure"):
        measure_named("z_score")
    with pytest.raises(ValidationError):
        settings_of(folds=1)


def test_every_measure_has_a_line_for_its_board() -> None:
    assert len({one.target for one in MEASURES.values()}) == len(MEASURES)
    assert MEASURES["percentile99"].target.startswith("each marker divided by its 99th")
