"""Spatial maps for the page: truth and predictions of one marker a slide, quantised to stay small."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.records import MAPS_FILE
from protocols.seeds import generator

COLUMNS = ("slide", "gene", "x_um", "y_um", "truth", "predicted")
BUDGET = 1_300_000
"""Characters that all maps together may take in the page."""
FEWEST_CELLS = 200
"""No map is thinned below this many cells, whatever the budget."""
COORDINATE_STEPS = 65_535
VALUE_STEPS = 255

Values = NDArray[np.float64]


@dataclass
class SlideMap:
    """One marker on one slide: where the cells are, the truth, and each model's prediction in the same order."""

    slide: str
    gene: str
    x_um: Values
    y_um: Values
    truth: Values
    predicted: dict[str, Values] = field(default_factory=dict)


def read_maps(folders: Mapping[str, Path]) -> list[SlideMap]:
    """All maps of one protocol, sorted by slide and gene; ``folders`` are its score folders by model.

    Models that were asked about the same cells share one entry; cells without a measured truth are left out.
    """
    maps: dict[tuple[str, str, str], SlideMap] = {}
    for model, folder in sorted(folders.items()):
        path = folder / MAPS_FILE
        if not path.is_file():
            continue
        table = _read(path)
        for (slide, gene), rows in table.groupby(["slide", "gene"], sort=True):
            x, y, truth, predicted = (rows[name].to_numpy(np.float64) for name in COLUMNS[2:])
            # A fixed order, so that the order in which the folds were scored does not matter.
            order = np.lexsort((truth, y, x))
            places = np.stack([x, y, truth])[:, order]
            key = (str(slide), str(gene), hashlib.sha256(places.tobytes()).hexdigest())
            if key not in maps:
                maps[key] = SlideMap(key[0], key[1], *places)
            maps[key].predicted[model] = predicted[order]
    return [maps[key] for key in sorted(maps)]


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path, columns=list(COLUMNS))
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise UserError(
            f"unreadable maps ({type(error).__name__})",
            where=path,
            expected=f"a parquet table with {', '.join(COLUMNS)}",
            remedy="score the predictions again",
        ) from error
    finite = np.isfinite(table[list(COLUMNS[2:])].to_numpy(np.float64)).all(axis=1)
    return cast(pd.DataFrame, table.loc[finite])


def encode_maps(by_protocol: Mapping[str, list[SlideMap]], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Maps as JSON values, thinned (at random, evenly over all slides) only as far as the budget demands."""
    limit = cell_limit([entry for maps in by_protocol.values() for entry in maps])
    return {
        protocol: [_encode(_thin(entry, limit, seed), len(entry.truth), entry) for entry in maps]
        for protocol, maps in by_protocol.items()
    }


def cell_limit(maps: list[SlideMap], budget: int = BUDGET) -> int:
    """The largest number of cells a map at which all maps together stay within ``budget`` characters."""
    sizes = np.array([len(entry.truth) for entry in maps] or [0])
    # uint16 x and y, uint8 truth, uint8 per model; base64 writes 4 characters for 3 bytes.
    widths = np.array([(5 + len(entry.predicted)) * 4 / 3 for entry in maps] or [0.0])
    low, high = FEWEST_CELLS, max(int(sizes.max()), FEWEST_CELLS)
    while low < high:
        middle = (low + high + 1) // 2
        if float((np.minimum(sizes, middle) * widths).sum()) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _thin(entry: SlideMap, limit: int, seed: int) -> SlideMap:
    if len(entry.truth) <= limit:
        return entry
    kept = np.sort(generator(seed, "page maps", entry.slide, entry.gene).permutation(len(entry.truth))[:limit])
    thinned = SlideMap(entry.slide, entry.gene, entry.x_um[kept], entry.y_um[kept], entry.truth[kept])
    thinned.predicted = {model: values[kept] for model, values in entry.predicted.items()}
    return thinned


def _encode(shown: SlideMap, cells: int, whole: SlideMap) -> dict[str, Any]:
    left, top = float(shown.x_um.min()), float(shown.y_um.min())
    width, height = float(np.ptp(shown.x_um)), float(np.ptp(shown.y_um))
    side = max(width, height) or 1.0
    return {
        "slide": shown.slide,
        "gene": shown.gene,
        "cells": cells,
        "shown": len(shown.truth),
        "width_um": round(width, 2),
        "height_um": round(height, 2),
        "step_um": side / COORDINATE_STEPS,
        "x": _pack(np.rint((shown.x_um - left) / side * COORDINATE_STEPS).astype("<u2")),
        "y": _pack(np.rint((shown.y_um - top) / side * COORDINATE_STEPS).astype("<u2")),
        "truth": _levels(shown.truth),
        "predicted": {
            model: {**_levels(values), "r": pearson(whole.truth, whole.predicted[model])}
            for model, values in sorted(shown.predicted.items())
        },
    }


def _levels(values: Values) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    levels = np.rint((values - low) / ((high - low) or 1.0) * VALUE_STEPS).astype(np.uint8)
    return {"low": round(low, 4), "high": round(high, 4), "levels": _pack(levels)}


def _pack(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def pearson(truth: Values, predicted: Values) -> float | None:
    """Pearson r for one map's caption (scores come from records); None where one side is constant."""
    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return None
    return round(float(np.corrcoef(truth, predicted)[0, 1]), 3)
