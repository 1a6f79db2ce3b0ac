"""What the GPU suite measured, as one JSON file and one table in Markdown; written anew after every cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.files import write_text_whole
from suite.gpu_agreement import TOLERANCE

CELLS, JSON_FILE, TABLE_FILE = "cells", "gpu.json", "gpu.md"
COLUMNS = (
    "protocol", "board", "model", "device", "score", "fit s", "units/s", "GPU MiB", "CPU MiB", "images/s", "precision",
    "GPU - CPU",
)  # fmt: skip


def write_table(folder: Path) -> list[dict[str, Any]]:
    """From ``folder/cells/*.json`` to the two files beside them; returns the rows."""
    files = sorted((folder / CELLS).glob("*.json"))
    rows = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]
    write_text_whole(folder / JSON_FILE, json.dumps(rows, indent=1, sort_keys=True) + "\n")
    write_text_whole(folder / TABLE_FILE, as_markdown(rows))
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'|'.join('---' for _ in COLUMNS)}|"]
    told = ", ".join(f"{kind} {limit:g}" for kind, limit in TOLERANCE.items())
    whole = sum({(row["protocol"], row["model"]): row["seconds"] for row in rows}.values())
    foot = f"\n{len(rows)} rows, {whole / 60:.0f} minutes of work in all. Tolerated GPU - CPU: {told}.\n"
    return "\n".join([*head, *(f"| {' | '.join(_cells(row))} |" for row in rows), foot])


def _cells(row: dict[str, Any]) -> list[str]:
    fit, speeds = row["fit"], [one["images_per_second"] for one in row["embedding"].values()]
    agrees = row["agreement"]
    return [
        row["protocol"],
        row["board"],
        row["model"],
        str(fit.get("device", "")),
        "" if row["headline"] is None else f"{row['headline']:.3f}",
        str(fit.get("seconds", "")),
        str(fit.get("units_per_second", "")),
        str(fit.get("peak_gpu_memory_mib", "")),
        str(fit.get("peak_memory_mib", "")),
        f"{min(speeds):g}" if speeds else "",
        agrees["kind"],
        f"{agrees['difference']:.1e}" + ("" if agrees["holds"] else " (too far)"),
    ]
