"""Scoring of one model's generated IHC images on every board. Knows no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocols.errors import UserError
from protocols.ihc.splitting import read_ihc_split
from suite.config import Config
from suite.ihc.cohorts import boards, stored
from suite.ihc.scoring import score_board, write_image_record
from suite.places import PREDICTIONS, SPLITS
from suite.stages.predict import MANIFEST_FILE


def cell(config: Config, protocol_name: str, model_name: str, out: Path) -> dict[str, Any]:
    """Write ``<out>/<board>``; returns each board's few numbers for ``dvc metrics``."""
    folder = PREDICTIONS / protocol_name / model_name
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
    except FileNotFoundError:
        raise UserError(
            "no manifest", where=folder, expected="finished predictions", remedy="run `dvc repro ihc_predict`"
        ) from None
    told = {}
    for board in boards(config):
        entry = manifest["boards"][board.name]
        _, split = read_ihc_split(SPLITS / protocol_name / board.cohort)
        for what, expected in (("cohort", stored(config, board.cohort).hash), ("split", split["hash"])):
            if entry[what] != expected:
                raise UserError(
                    f"predictions were made for another {what}",
                    where=f"{folder / MANIFEST_FILE}, {board.name}",
                    expected=str(expected)[:12],
                    remedy="predict again",
                )
        scores = None if entry["skipped"] else score_board(config, board, folder / board.name)
        record = write_image_record(config, out / board.name, manifest, board, scores)
        told[board.name] = {"psnr": record.headline.mean, "ssim": record.summary.get("ssim")}
    return told
