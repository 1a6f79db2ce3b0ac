"""What ``slide2omics niches`` prints and writes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from protocols.metrics.column_association import Association
from reports.tables import number, p_value

if TYPE_CHECKING:
    from suite.tools.niches import NicheRun, Options

COLUMNS = (
    "patient", "slides", "cells", "a", "b", "positive_a", "positive_b", "mean_b_around_a", "null_mean", "null_sd", "z",
    "log_ratio", "p_greater", "p_less", "p", "q", "undefined",
)  # fmt: skip
ASSOCIATION = ("column", "measure", "patients", "events", "estimate", "low", "high", "p", "q", "undefined")
SHOWN = 12
"""Rows of the terminal's table; the files have all."""


def niche_csv(found: NicheRun) -> str:
    """One row a patient and pair; what is undefined has empty numbers and its reason."""
    rows = [
        (
            one.patient, ";".join(one.slides), one.cells, pair.a, pair.b, pair.positive_a, pair.positive_b,
            *([pair.observed, pair.null_mean, pair.null_sd, pair.z, pair.log_ratio]),
            *([None] * 4 if pair.reason else [pair.p_greater, pair.p_less, pair.p, pair.q]), pair.reason,
        )
        for one in found.patients
        for pair in one.niches
    ]  # fmt: skip
    return _csv(COLUMNS, rows)


def association_csv(rows: Sequence[Association]) -> str:
    return _csv(
        ASSOCIATION,
        [
            (one.column, one.measure, one.n, one.events, one.estimate, one.low, one.high,
             *([None, None] if one.reason else [one.p, one.q]), one.reason)
            for one in rows
        ],
    )  # fmt: skip


def run_lines(found: NicheRun, options: Options) -> list[str]:
    """Gates, what was dropped, the table: of one patient its pairs, of several what is significant in how many."""
    null = (
        "labels permuted over the slide" if options.block_um is None else f"within squares of {options.block_um:g} µm"
    )
    lines = [f"radius {options.radius_um:g} µm, {options.permutations} permutations, {null}, seed {options.seed}"]
    for slide, gates in found.gates.items():
        if len(found.gates) > 3:
            break
        lines.append(f"gates of {slide} ({gates[0].rule}):")
        for one in gates:
            said = one.reason or f"> {one.above:.5g}, {one.share:.1%} positive"
            lines.append(f"  {one.marker}: {said}{f' ({one.note})' if one.note else ''}")
    weak = sum(bool(one.note or one.reason) for gates in found.gates.values() for one in gates)
    if len(found.gates) > 3:
        of = sum(map(len, found.gates.values()))
        lines.append(f"gates of {len(found.gates)} slides; {weak} of {of} are weak, leave cells out or do not exist")
    lines += [f"note: {note}" for note in found.notes]
    lines += _one(found) if len(found.patients) == 1 else _several(found)
    undefined = [(one.patient, pair) for one in found.patients for pair in one.niches if pair.reason]
    reasons = list(dict.fromkeys(f"{pair.a}:{pair.b}, {pair.reason} ({patient})" for patient, pair in undefined))
    lines += [f"undefined: {reason}" for reason in reasons[:SHOWN]]
    if len(reasons) > SHOWN:
        lines.append(f"undefined: {len(reasons) - SHOWN} more, in the table")
    return lines


def association_lines(rows: Sequence[Association]) -> list[str]:
    """The columns by p, the first of them."""
    defined = sorted((one for one in rows if not one.reason), key=lambda one: (one.p, one.column))
    if not defined:
        return ["no column can be set against the outcome", *(f"  {one.column}: {one.reason}" for one in rows[:SHOWN])]
    few = defined[0]
    lines = [f"{len(defined)} of {len(rows)} columns against the outcome ({few.n} patients, {few.events} events):"]
    lines.append(_row(("column", few.measure, "[95 %", "]", "p", "q")))
    lines += [
        _row((one.column, number(one.estimate), number(one.low), number(one.high), p_value(one.p), p_value(one.q)))
        for one in defined[:SHOWN]
    ]
    return lines


def _one(found: NicheRun) -> list[str]:
    pairs = sorted((one for one in found.patients[0].niches if not one.reason), key=lambda one: -abs(one.z))
    lines = [_row(("pair", "around A", "by chance", "log ratio", "z", "q"))]
    lines += [
        _row((f"{one.a}:{one.b}", number(one.observed), number(one.null_mean), number(one.log_ratio),
              number(one.z, 1), p_value(one.q)))
        for one in pairs[:SHOWN]
    ]  # fmt: skip
    return lines + ([f"{len(pairs) - SHOWN} more pairs in the table"] if len(pairs) > SHOWN else [])


def _several(found: NicheRun) -> list[str]:
    lines = [_row(("pair", "patients", "log ratio", "together", "apart", ""))]
    for at, first in enumerate(found.patients[0].niches):
        own = [one.niches[at] for one in found.patients if not one.niches[at].reason]
        mean = sum(one.log_ratio for one in own) / len(own) if own else math.nan
        near = [one for one in own if one.q <= 0.05]
        together = sum(one.p_greater < one.p_less for one in near)
        mean_said = number(mean) if own else "undefined"
        lines.append(
            _row((f"{first.a}:{first.b}", str(len(own)), mean_said, str(together), str(len(near) - together), ""))
        )
    shown = lines[: SHOWN + 1]
    return shown + ([f"{len(lines) - 1 - SHOWN} more pairs in the table"] if len(lines) - 1 > SHOWN else [])


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f"  {first:<28}" + "".join(f"{cell:>12}" for cell in rest).rstrip()


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if isinstance(one, float) and math.isnan(one) else one for one in row])
    return text.getvalue()
