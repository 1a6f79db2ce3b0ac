"""The files of a signature run: tables, one JSON of everything, and Kaplan-Meier figures."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protocols.files import write_text_whole, written_whole
from protocols.metrics.cox import HazardRatio
from protocols.metrics.prognostic_signature import Signature
from protocols.metrics.signature_evaluation import THRESHOLDS, RiskSplit, SignatureEvaluation
from reports.curves import COLOURS
from reports.figures import DPI, STYLE
from reports.tables import MISSING, number, p_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "cohort", "patients", "events", "C-index [95 %]", "HR per SD [95 %]", "p", "adjusted HR per SD [95 %]", "p",
    "high against low [95 %]", "log-rank p (own median)", "log-rank p (discovery median)",
)  # fmt: skip
GENE_COLUMNS = ("gene", "coefficient", "fitted_mean", "fitted_sd", "hazard_ratio_per_sd")


def write_signature(
    folder: Path,
    signature: Signature,
    evaluations: Sequence[SignatureEvaluation],
    notes: Sequence[str],
    *,
    out_of_fold: Mapping[str, Sequence[object]],
    settings: Mapping[str, Any],
) -> list[Path]:
    """Write all of a run into ``folder``, each file whole or not at all; the same run gives the same bytes."""
    texts = {
        "signature.csv": _csv([GENE_COLUMNS, *_gene_rows(signature)]),
        "out_of_fold.csv": _csv([tuple(out_of_fold), *zip(*out_of_fold.values(), strict=True)]),
        "evaluation.json": _json(signature, evaluations, notes, settings),
        "signature.md": signature_page(signature, evaluations, notes),
    }
    for name, text in texts.items():
        write_text_whole(folder / name, text)
    return [folder / name for name in texts] + write_curves(evaluations, folder)


def signature_page(signature: Signature, evaluations: Sequence[SignatureEvaluation], notes: Sequence[str]) -> str:
    """``signature.md``: one row an evaluation, what to mind, and the genes."""
    fitted = (
        f"LASSO-Cox chose {len(signature.genes)} of {signature.candidates} genes on {signature.patients} patients with"
        f" {signature.events} events (penalty {signature.alpha:.4g})."
    )
    lines = ["# Prognostic signature", "", fitted, ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(_cells(one))} |" for one in evaluations]
    lines += ["", "A row of patients on whom the signature was fitted is optimistic by construction and no evidence."]
    lines += [
        "Risks out of fold: C-index is the mean over folds, Cox models are stratified by fold, and the own median"
    ]
    lines += ["is that of the fold.", ""]
    said = [*notes, *(f"{one.name}: {note}" for one in evaluations for note in one.notes)]
    if said:
        lines += ["## Notes", "", *(f"- {note}" for note in said), ""]
    lines += ["## Genes", "", "| gene | coefficient | hazard ratio per SD |", "|---|---|---|"]
    for gene, coefficient, _, _, ratio in _gene_rows(signature):
        lines.append(f"| {gene} | {number(coefficient, 4)} | {number(ratio)} |")
    if not signature.genes:
        lines.append("| none | | |")
    return "\n".join(lines) + "\n"


def write_curves(evaluations: Sequence[SignatureEvaluation], folder: Path) -> list[Path]:
    """``km_<evaluation>.png`` and ``.svg`` where there are two groups by a cohort's own median."""
    import matplotlib

    written = []
    with matplotlib.rc_context(STYLE):
        for one in evaluations:
            figure = curves_figure(one)
            if figure is None:
                continue
            slug = re.sub(r"[^A-Za-z0-9]+", "_", one.name).strip("_").lower()
            for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
                path = folder / f"km_{slug}.{kind}"
                with written_whole(path) as part:
                    figure.savefig(part, format=kind, dpi=DPI, metadata=metadata)
                written.append(path)
    return written


def curves_figure(evaluation: SignatureEvaluation) -> Figure | None:
    """One panel a threshold: both groups with their bands and the numbers at risk, months."""
    from matplotlib.figure import Figure

    splits = [split for split in evaluation.splits if split.high.n and split.low.n]
    if not splits:
        return None
    figure = Figure(figsize=(3.8 * len(splits) + 0.4, 3.7), layout="constrained")
    for axes, split in zip(figure.subplots(1, len(splits), sharey=True, squeeze=False)[0], splits, strict=True):
        for group, curve in (("high", split.high), ("low", split.low)):
            colour = COLOURS[group]
            label = f"{group} risk, {curve.events} of {curve.n}"
            axes.step(curve.time, curve.survival, where="post", color=colour, linewidth=1.4, label=label)
            if curve.low is not None and curve.high is not None:
                axes.fill_between(curve.time, curve.low, curve.high, step="post", color=colour, alpha=0.15, linewidth=0)
        times, *counts = split.at_risk
        for row, (group, still) in enumerate(zip(("high", "low"), counts, strict=True)):
            for time, patients in zip(times, still, strict=True):
                axes.text(
                    time, -0.17 - 0.07 * row, f"{int(patients)}", color=COLOURS[group], ha="center", fontsize=7,
                    transform=axes.get_xaxis_transform(),
                )  # fmt: skip
        axes.set_xticks(times)
        axes.set_xlim(0, times[-1])
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("months (patients still followed)", labelpad=34, fontsize=8)
        axes.legend(loc="lower left", frameon=False, fontsize=7)
        axes.set_title(f"{split.threshold.replace('_', ' ')}: log-rank p {p_value(split.logrank_p)}", fontsize=8)
    figure.supylabel("event-free share", fontsize=8)
    warning = " (optimistic)" if evaluation.fitted_here else ""
    figure.suptitle(f"{evaluation.name}{warning}: C {number(evaluation.c_index)}", x=0.02, ha="left", fontsize=9)
    return figure


def _cells(one: SignatureEvaluation) -> list[str]:
    splits = {split.threshold: split for split in one.splits}
    own: RiskSplit | None = splits.get("own_median")
    adjusted = one.adjusted[0] if one.adjusted else None
    c_index = f"{number(one.c_index)} [{number(one.c_low)} {number(one.c_high)}]"
    return [
        one.name,
        str(one.n),
        str(one.events),
        MISSING if one.c_index is None else c_index,
        _ratio(one.per_sd),
        p_value(one.per_sd.p if one.per_sd else None),
        _ratio(adjusted),
        p_value(adjusted.p if adjusted else None),
        _ratio(own.high_vs_low if own else None),
        *(p_value(splits[key].logrank_p if key in splits else None) for key in THRESHOLDS),
    ]


def _ratio(ratio: HazardRatio | None) -> str:
    if ratio is None:
        return MISSING
    return f"{number(ratio.hazard_ratio, 2)} [{number(ratio.low, 2)} {number(ratio.high, 2)}]"


def _gene_rows(signature: Signature) -> list[tuple[str, float, float, float, float]]:
    """A row a gene (:data:`GENE_COLUMNS`), the strongest per standard deviation first."""
    ratio = np.exp(signature.coefficients * signature.sds)
    order = sorted(range(len(ratio)), key=lambda at: (-abs(float(np.log(ratio[at]))), signature.genes[at]))
    columns = (signature.coefficients, signature.means, signature.sds, ratio)
    coefficients, means, sds, ratios = (column.tolist() for column in columns)
    return [(signature.genes[at], coefficients[at], means[at], sds[at], ratios[at]) for at in order]


def _csv(rows: Sequence[Sequence[object]]) -> str:
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json(
    signature: Signature,
    evaluations: Sequence[SignatureEvaluation],
    notes: Sequence[str],
    settings: Mapping[str, Any],
) -> str:
    content = {
        "settings": dict(settings),
        "signature": dataclasses.asdict(signature),
        "evaluations": [dataclasses.asdict(one) for one in evaluations],
        "notes": list(notes),
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Arrays as lists; an infinite deviance (a penalty that some fold's path did not reach) as null."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
