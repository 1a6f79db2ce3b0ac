"""From generated IHC images to everything that a record of ``ihc4bc`` holds.

The headline is PSNR over 8-bit RGB (data range 255), mean over a patient's tiles, then over patients. SSIM is the
windowed standard; the paper's one-window form stands beside it. Registration-tolerant scores take the best over small
whole-pixel shifts. The clinical read-out is the H-score of the generated image against the data set's own labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from protocols.contract import CropArray, RowArray, TextArray
from protocols.errors import UserError
from protocols.metrics.agreement import agreement_by_patient, pearson
from protocols.metrics.h_score import THRESHOLDS, farther_end, h_score_of_image
from protocols.metrics.image_shifts import psnr_shift_tolerant, ssim_shift_tolerant
from protocols.metrics.image_similarity import image_similarity, psnr
from protocols.metrics.intervals import mean_interval
from protocols.records import Interval

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 32
"""Tiles held in memory."""
SAMPLES = 5
"""Tiles kept for the image grid, evenly spread."""
Images = Callable[[RowArray], CropArray]


@dataclass(frozen=True, eq=False)
class ScoredTiles:
    """One fold's test tiles. Readers give rows of the fold: ``predicted``, ``truth`` (the scanned IHC), ``he``, and
    ``registered`` (the IHC on the H&E's own grid; phantoms only). ``patch`` is the patch of each tile; ``reference``
    maps it to the H-score of its label (absent: none). ``unanswered``: tiles that a submission declared missing; there
    ``predicted`` gives the worst image, and their patch has no H-score (None: nothing is missing)."""

    name: str
    tile: TextArray
    patch: TextArray
    patient: TextArray
    he: Images
    truth: Images
    predicted: Images
    registered: Images | None
    reference: dict[str, float]
    unanswered: NDArray[np.bool_] | None = None


def worst_images(truth: CropArray) -> CropArray:
    """The images ``(n, p, p, 3)`` farthest from these: each value the farther end of its range, 0 or 255."""
    return np.where(truth < 128, np.uint8(255), np.uint8(0)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class ImageScores:
    """JSON-safe but for ``units`` (a row a tile) and ``samples`` uint8 ``(k, 3, p, p, 3)``: H&E, IHC, answer."""

    headline: Interval
    summary: dict[str, float | None]
    counts: dict[str, int]
    per_patient: dict[str, float]
    units: pd.DataFrame
    samples: CropArray
    image: dict[str, Any]


def score_tiles(folds: Sequence[ScoredTiles], marker: str, *, mpp: float, shift_px: int) -> ImageScores:
    """Score one model on one marker of one cohort."""
    import pandas as pd

    if not folds:
        raise UserError("no fold", where="ihc4bc scoring", expected="at least one", remedy="make a split")
    units = pd.concat([_tiles(fold, marker, mpp, shift_px) for fold in folds], ignore_index=True)
    means = units.groupby("patient")[["psnr", "ssim", "ssim_global", "psnr_shift", "ssim_shift"]].mean()
    per_patient = {str(patient): float(value) for patient, value in means["psnr"].items()}
    patches = _patches(units, folds)
    read = read_out(patches) if marker in THRESHOLDS else {}
    return ImageScores(
        headline=mean_interval(per_patient),
        summary={
            **{str(key): float(value) for key, value in means.mean().items()},
            "psnr_registered": _mean(units, "psnr_registered"),
            **{key: value for key, value in read.items() if key in H_SCORE_KEYS},
        },
        counts={
            "patients": len(means),
            "patches": len(patches),
            "tiles": len(units),
            "folds": len(folds),
            "identical_tiles": int(units["identical"].sum()),
            "patches_without_h_score": int(patches["h_predicted"].isna().sum()),
        },
        per_patient=per_patient,
        units=units,
        samples=_samples(folds),
        image={"h_score": read, "shift_px": shift_px, "mpp": mpp, "patches": _listed(patches)},
    )


H_SCORE_KEYS = ("h_score_r", "h_score_answered", "h_score_bias", "h_score_mae", "h_score_pipeline_r")


def _tiles(fold: ScoredTiles, marker: str, mpp: float, shift_px: int) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for rows in _batches(len(fold.tile)):
        truth, answer = fold.truth(rows), fold.predicted(rows)
        if answer.shape != truth.shape or answer.dtype != np.uint8:
            raise UserError(
                f"images {answer.shape} {answer.dtype}", where=f"fold {fold.name}", expected=f"{truth.shape} uint8",
                remedy="answer one image a tile",
            )  # fmt: skip
        plain = image_similarity(answer, truth)
        columns: dict[str, Any] = {
            "fold": fold.name,
            "tile": fold.tile[rows],
            "patch": fold.patch[rows],
            "patient": fold.patient[rows],
            "psnr": plain.psnr,
            "ssim": plain.ssim,
            "ssim_global": plain.ssim_global,
            "identical": plain.identical,
            "psnr_shift": psnr_shift_tolerant(answer, truth, shift_px).value,
            "ssim_shift": ssim_shift_tolerant(answer, truth, shift_px).value,
            "psnr_registered": np.nan if fold.registered is None else psnr(answer, fold.registered(rows)),
        }
        if marker in THRESHOLDS:
            for side, images in (("predicted", answer), ("truth", truth)):
                counts = np.array([_classes(image, marker, mpp) for image in images])
                columns |= {f"{side}_{k}": counts[:, k] for k in range(4)}
        columns["unanswered"] = np.zeros(len(rows), dtype=bool) if fold.unanswered is None else fold.unanswered[rows]
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _classes(image: NDArray[np.uint8], marker: str, mpp: float) -> NDArray[np.int64]:
    """Nuclei of an IHC image by class: negative, weak, moderate, strong."""
    return np.array(_counts(image.tobytes(), image.shape, marker, mpp), dtype=np.int64)


@lru_cache(maxsize=512)
def _counts(pixels: bytes, shape: tuple[int, int, int], marker: str, mpp: float) -> tuple[int, int, int, int]:
    """The true images are the same for every model that a process scores: their nuclei are found once."""
    image = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    return h_score_of_image(image, None, marker, mpp).score.counts


def _patches(units: pd.DataFrame, folds: Sequence[ScoredTiles]) -> pd.DataFrame:
    """One row a patch: H-scores of the generated and of the true image over all of its tiles, and of its label."""
    import pandas as pd

    reference = {name: value for fold in folds for name, value in fold.reference.items()}
    rows = []
    for (patient, patch), part in units.groupby(["patient", "patch"], sort=True):
        row: dict[str, Any] = {"patient": patient, "patch": patch, "h_reference": reference.get(str(patch), np.nan)}
        for side in ("predicted", "truth"):
            row[f"h_{side}"] = np.nan
            if f"{side}_0" in part.columns:
                row[f"h_{side}"] = _from_counts([int(part[f"{side}_{k}"].sum()) for k in range(4)])
        if part["unanswered"].any():
            row["h_predicted"] = np.nan  # the patch has not been answered whole
        rows.append(row)
    return pd.DataFrame(rows)


def _from_counts(counts: Sequence[int]) -> float:
    """100 weak + 200 moderate + 300 strong over all nuclei of the IHC; NaN without a nucleus."""
    total = sum(counts)
    return sum(100.0 * k * count for k, count in enumerate(counts)) / total if total else float("nan")


def read_out(patches: pd.DataFrame) -> dict[str, Any]:
    """Agreement of H-scores with the labels, intervals over patients (or the reason for none), and of the pipeline.

    ``patches``: patient, h_reference, h_truth, h_predicted; NaN where there is none. Every labelled patch counts: where
    the generated image has no nucleus, with the end of the scale that is farther from its label. ``h_score_answered``
    is the share of labelled patches that have one. A patch without a label, or (for the pipeline) without a nucleus in
    the scanned image, is left out: that is so for every model alike.
    """
    known = patches.dropna(subset=["h_reference"])
    sound = known.dropna(subset=["h_truth"])
    pipeline = pearson(sound["h_truth"].to_numpy(), sound["h_reference"].to_numpy()).r if len(sound) > 2 else None
    given, reference = known["h_predicted"].to_numpy(np.float64), known["h_reference"].to_numpy(np.float64)
    answered = np.isfinite(given)
    found: dict[str, Any] = {
        "h_score_pipeline_r": pipeline,
        "h_score_answered": float(answered.mean()) if len(known) else None,
    }
    if len(known) < 3:
        return found | {"h_score_r": None, "h_score_bias": None, "h_score_mae": None}
    predicted = np.where(answered, given, farther_end(reference))
    agreed = agreement_by_patient(predicted, reference, known["patient"].to_numpy(str))
    return found | {
        "h_score_r": agreed.r.value,
        "h_score_r_low": agreed.r.low,
        "h_score_r_high": agreed.r.high,
        "h_score_r_reason": agreed.reason,
        "h_score_bias_low": agreed.bias.low,
        "h_score_bias_high": agreed.bias.high,
        "h_score_bias": agreed.bias.value,
        "h_score_lower": agreed.lower,
        "h_score_upper": agreed.upper,
        "h_score_mae": float(np.abs(predicted - reference).mean()),
    }


def _listed(patches: pd.DataFrame) -> list[dict[str, Any]]:
    """H-scores of each patch for the scatter, one decimal."""
    rows = []
    for row in patches.to_dict("records"):
        values = {key: row[key] for key in ("h_predicted", "h_truth", "h_reference")}
        rounded = {key: round(float(value), 1) if np.isfinite(value) else None for key, value in values.items()}
        rows.append({"patient": str(row["patient"]), "patch": str(row["patch"]), **rounded})
    return rows


def _samples(folds: Sequence[ScoredTiles]) -> CropArray:
    """Some tiles, the same for every model: the first test tile of evenly spaced patients."""
    firsts = []
    for fold in folds:
        _, at = np.unique(fold.patient, return_index=True)
        firsts += [(fold, int(row)) for row in at]
    kept = [firsts[place] for place in np.unique(np.linspace(0, len(firsts) - 1, SAMPLES).round().astype(int))]
    sides = []
    for fold, row in kept:
        rows = np.array([row], dtype=np.int64)
        sides.append(np.stack([fold.he(rows)[0], fold.truth(rows)[0], fold.predicted(rows)[0]]))
    return np.stack(sides)


def _batches(n: int) -> Iterator[RowArray]:
    for start in range(0, n, AT_ONCE):
        yield np.arange(start, min(start + AT_ONCE, n), dtype=np.int64)


def _mean(units: pd.DataFrame, column: str) -> float | None:
    """Mean over patients of a column that is NaN where it does not apply."""
    value = units.groupby("patient")[column].mean().mean()
    return float(value) if np.isfinite(value) else None
