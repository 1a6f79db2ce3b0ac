"""The leak audit: what a split promises is checked again from the cohort, by other means than those that made it.

Three verdicts: ``pass``, ``fail`` (the pipeline stops), and ``unverifiable`` (it goes on, and the page says so:
an unknown patient is not a different patient).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from protocols.contract import RowArray
from protocols.expression.pretraining import pretraining_rows
from protocols.expression.settings import SplitSettings, split_settings
from protocols.expression.splits import choose_genes
from protocols.expression.store import CohortStore
from protocols.expression.targets import fold_targets
from protocols.findings import Finding, FoldFacts, RoleFacts
from protocols.splits import Fold, Split
from protocols.task import Question

_SAME = 1e-6
"""Relative difference of two ways to take a percentile of float32 values."""


@dataclass(frozen=True)
class Side:
    """Two sets of rows that must not leak into each other; ``name`` is for messages."""

    name: str
    train: RowArray
    test: RowArray


def audit(question: Question) -> tuple[list[Finding], list[FoldFacts]]:
    """Every check of the protocol's folds, and what each fold holds."""
    store, split = question.cohort.store, question.split
    settings = split_settings(question.cohort.settings, question.seed)
    findings = audit_split(question.protocol.disjoint, store, split, settings)
    return findings, [_facts(store, fold) for fold in split.folds]


def _facts(store: CohortStore, fold: Fold) -> FoldFacts:
    roles = tuple(
        RoleFacts(role, len(rows), tuple(_labels(store, rows, "patient")), {"genes": len(fold.genes)})
        for role, rows in fold.roles().items()
    )
    return FoldFacts(fold.name, roles)


def audit_split(disjoint: Collection[str], store: CohortStore, split: Split, settings: SplitSettings) -> list[Finding]:
    """Every check on every fold, and on every fold group's pre-training set; ``disjoint``: what sides may not share."""
    sides = list(_sides(split))
    checks: list[tuple[str, Callable[[], str | None], str]] = [
        ("rows exist, once", lambda: _rows_are_sound(store, split), f"{len(split.folds)} folds"),
        ("no unit on both sides", lambda: _first(sides, _shared_rows), f"{len(sides)} train/test pairs"),
        ("no unit tested twice", lambda: _tested_twice(split), f"{_n_tested(split)} units tested"),
        (
            "no crop shares a pixel across sides",
            lambda: _first(sides, lambda side: _overlapping_crops(store, side)),
            f"crops of {store.info.crop_um:g} µm, by distance of centres on every shared slide",
        ),
        (
            "genes chosen on training rows alone",
            lambda: _genes_not_from_training(store, split, settings),
            "choice repeated without the test rows",
        ),
    ]
    findings = []
    for name, check, looked_at in checks:
        problem = check()
        findings.append(Finding(name, "fail" if problem else "pass", problem or looked_at))
    if store.measure.fitted_on != "nothing":
        findings.append(_scales(store, split))
    if "patient" in disjoint:
        findings.append(_patients(store, sides))
    else:
        findings.append(_same_patient_elsewhere(store, split))
    if "cancer" in disjoint:
        problem = _first(sides, lambda side: _shared_label(store, side, "cancer"))
        findings.append(Finding("no cancer on both sides", "fail" if problem else "pass", problem or "by fold"))
    return findings


def _sides(split: Split) -> Iterator[Side]:
    for fold in split.folds:
        yield Side(f"fold {fold.name}", fold.train, fold.test)
    for group, folds in split.groups().items():
        if len(folds) > 1:
            tested = np.unique(np.concatenate([fold.test for fold in folds]))
            yield Side(f"pre-training of group {group}", pretraining_rows(folds), tested)


def _first(sides: list[Side], check: Callable[[Side], str | None]) -> str | None:
    for side in sides:
        problem = check(side)
        if problem:
            return f"{side.name}: {problem}"
    return None


def _rows_are_sound(store: CohortStore, split: Split) -> str | None:
    for fold in split.folds:
        for role, rows in (("train", fold.train), ("test", fold.test)):
            if not len(rows):
                return f"fold {fold.name}: no {role} units"
            if rows[0] < 0 or rows[-1] >= len(store) or np.any(np.diff(rows) <= 0):
                return f"fold {fold.name}: {role} rows are not ascending rows of the cohort"
    return None


def _shared_rows(side: Side) -> str | None:
    shared = np.intersect1d(side.train, side.test)
    return f"{len(shared)} units, first row {shared[0]}" if len(shared) else None


def _n_tested(split: Split) -> int:
    return sum(len(fold.test) for fold in split.folds)


def _tested_twice(split: Split) -> str | None:
    if not split.folds:
        return None
    rows, times = np.unique(np.concatenate([fold.test for fold in split.folds]), return_counts=True)
    return f"{np.sum(times > 1)} units, first row {rows[times > 1][0]}" if np.any(times > 1) else None


def _overlapping_crops(store: CohortStore, side: Side) -> str | None:
    """Exact for axis-aligned square crops: they overlap iff centres are nearer than a side in x and in y."""
    for index in np.intersect1d(store.slide_index[side.train], store.slide_index[side.test]):
        train = side.train[store.slide_index[side.train] == index]
        test = side.test[store.slide_index[side.test] == index]
        distance = np.asarray(cKDTree(store.xy_um[test]).query(store.xy_um[train], p=np.inf)[0])
        if np.any(distance < store.info.crop_um):
            offender = train[int(np.argmin(distance))]
            return (
                f"{np.sum(distance < store.info.crop_um)} training crops on slide {store.slides[index].slide} "
                f"reach into test crops, nearest row {offender} at {distance.min():.1f} µm"
            )
    return None


def _genes_not_from_training(store: CohortStore, split: Split, settings: SplitSettings) -> str | None:
    for fold in split.folds:
        candidates = set(store.measured_genes(fold.train)) | set(store.measured_genes(fold.test))
        if settings.genes.top_mean is None:
            strangers = set(fold.genes) - candidates - set(store.all_genes)
            if strangers:
                return f"fold {fold.name}: {len(strangers)} genes no slide measures, first {sorted(strangers)[0]}"
        elif choose_genes(store, fold.train, candidates, settings) != fold.genes:
            return f"fold {fold.name}: the genes are not the top {settings.genes.top_mean} of its training rows"
    return None


def _scales(store: CohortStore, split: Split) -> Finding:
    """Each fold's scales once more from the training rows of the stored arrays, by sorting and not by numpy's rule."""
    name = "scales fitted on training units alone"
    if store.measure.fitted_on == "cohort":
        told = f"{store.measure.name}: of all units, those that are tested included, so errors are a little told"
        return Finding(name, "note", told)
    for fold in split.folds:
        scale = fold_targets(store, fold.train, fold.genes).scale
        for gene, divisor in zip(fold.genes, () if scale is None else scale.divisor, strict=True):
            own = percentile_of_rows(store, fold.train, gene)
            if own is not None and own > 0 and abs(divisor / own - 1) > _SAME:
                return Finding(name, "fail", f"fold {fold.name}: {gene} is scaled by {divisor:g}, not by {own:g}")
    return Finding(name, "pass", "99th percentile of every marker repeated without the test rows")


def percentile_of_rows(store: CohortStore, rows: RowArray, gene: str) -> float | None:
    """The marker's 99th percentile over some rows, by order statistics; None where no row's slide measures it."""
    parts = []
    for slide in store.slides_of(rows):
        if gene in slide.genes:
            inside = rows[(rows >= slide.start) & (rows < slide.stop)] - slide.start
            parts.append(store.mapped(store.slides.index(slide))[inside, slide.genes.index(gene)].astype(np.float64))
    if not parts:
        return None
    ordered = np.sort(np.concatenate(parts))
    place = 0.99 * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    return float(below + (above - below) * (place - np.floor(place)))


def _patients(store: CohortStore, sides: list[Side]) -> Finding:
    name = "no patient on both sides"
    problem = _first(sides, lambda side: _shared_label(store, side, "patient"))
    if problem:
        return Finding(name, "fail", problem)
    unknown = {
        s.slide for side in sides for rows in (side.train, side.test) for s in store.slides_of(rows) if not s.patient
    }
    if unknown:
        return Finding(name, "unverifiable", f"patient unknown for {len(unknown)} slides, first {sorted(unknown)[0]}")
    return Finding(name, "pass", "by patient id of every slide used")


def _same_patient_elsewhere(store: CohortStore, split: Split) -> Finding:
    """Where a fold stays inside one patient, another slide of that patient must not enter the training side."""
    name = "no other slide of a tested patient in training"
    unknown = set()
    for folds in split.groups().values():
        train = pretraining_rows(folds)
        for slide in store.slides_of(np.concatenate([fold.test for fold in folds])):
            others = [s.slide for s in store.slides_of(train) if s.slide != slide.slide]
            if slide.patient is None and others:
                unknown.add(slide.slide)
            twins = [s.slide for s in store.slides_of(train) if s.slide != slide.slide and s.patient == slide.patient]
            if slide.patient is not None and twins:
                return Finding(
                    name, "fail", f"slide {slide.slide} is tested while {twins[0]} of the same patient trains"
                )
    if unknown:
        return Finding(name, "unverifiable", f"patient unknown for {len(unknown)} slides, first {sorted(unknown)[0]}")
    return Finding(name, "pass", "serial sections show the same cells; checked on every fold group")


def _shared_label(store: CohortStore, side: Side, field: Literal["patient", "cancer"]) -> str | None:
    train = {getattr(slide, field): slide.slide for slide in store.slides_of(side.train)}
    for slide in store.slides_of(side.test):
        label = getattr(slide, field)
        if label is not None and label in train:
            return f"{field} {label} is trained on (slide {train[label]}) and tested (slide {slide.slide})"
    return None


def _labels(store: CohortStore, rows: RowArray, field: Literal["patient", "cancer"]) -> list[str]:
    return sorted({str(getattr(slide, field) or "unknown") for slide in store.slides_of(rows)})
