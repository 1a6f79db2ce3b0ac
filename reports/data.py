"""Leaderboards as data: CSV and JSON for other programs, and the two small tables that ``dvc plots`` draws."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from reports.claims import Claim
from reports.describe import Cost
from reports.leaderboard import Leaderboard, Row
from reports.tables import headline_claims, verdict, weights_text

RANK_FIELDS = ("protocol", "board", "model", "kind", "rank", "mean", "low", "high", "patients")
GENE_FIELDS = ("protocol", "board", "model", "gene", "pearson", "reachable", "visible_share")


def boards_csv(boards: Sequence[Leaderboard]) -> str:
    """One row a cell of the matrix, with unrounded values; empty where undefined or not measured."""
    named = list(dict.fromkeys(key for board in boards for key in board.metrics.secondary))
    extra = sorted({key for board in boards for row in board.rows for key in row.summary} - set(named))
    rows = [_flat(board, row, [*named, *extra]) for board in boards for row in board.rows]
    return _csv(list(rows[0]) if rows else [], rows)


def ranks_csv(boards: Sequence[Leaderboard]) -> str:
    """Ranks with their intervals; only rows with a defined headline."""
    rows = [
        {
            "protocol": board.protocol,
            "board": board.board,
            "model": row.model,
            "kind": row.kind,
            "rank": row.rank,
            "mean": row.headline.mean,
            "low": row.headline.low,
            "high": row.headline.high,
            "patients": row.headline.n_patients,
        }
        for board in boards
        for row in board.rows
        if row.group != "skipped" and row.headline.mean is not None
    ]
    return _csv(RANK_FIELDS, rows)


def genes_csv(boards: Sequence[Leaderboard]) -> str:
    """Each gene's Pearson r by each model beside the r that is reachable at best (phantom only)."""
    rows = (
        {
            "protocol": board.protocol,
            "board": board.board,
            "model": row.model,
            **{key: gene.get(key) for key in GENE_FIELDS[3:]},
        }
        for board in boards
        for row in board.rows
        for gene in row.per_gene
    )
    return _csv(GENE_FIELDS, rows)


def boards_json(
    boards: Sequence[Leaderboard], claims: Sequence[Claim], pending: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Everything that the other outputs show, as one JSON object; single genes are left to ``genes.csv``."""
    content = {
        "leaderboards": [
            {**asdict(replace(board, rows=())), "rows": [_row_json(row) for row in board.rows]} for board in boards
        ],
        "claims": [_claim_json(claim) for claim in claims],
        "without_records": {key: list(cells) for key, cells in (pending or {}).items()},
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _flat(board: Leaderboard, row: Row, keys: Sequence[str]) -> dict[str, Any]:
    claims = headline_claims(row.claims)
    return {
        "protocol": board.protocol,
        "board": board.board,
        "protocol_version": board.version,
        "model": row.model,
        "title": row.title,
        "kind": row.kind,
        "status": "skipped" if row.group == "skipped" else "scored",
        "reason": row.reason,
        "rank": row.rank,
        "mean": row.headline.mean,
        "low": row.headline.low,
        "high": row.headline.high,
        "no_interval": row.headline.reason,
        "patients": row.headline.n_patients,
        "behind_best": row.behind.difference if row.behind else None,
        "behind_effect": row.behind.effect if row.behind else None,
        "behind_p": row.behind.p if row.behind else None,
        **{key: row.summary.get(key) for key in keys},
        "weights": weights_text(row.weights),
        "profile": row.profile,
        "seed": row.seed,
        "cohort": board.cohort.name,
        "phantom": board.cohort.phantom,
        "cohort_slides": board.cohort.slides,
        "cohort_patients": board.cohort.patients,
        "cohort_cells": board.cohort.cells,
        "published": claims[0].published if claims else None,
        "published_spread": claims[0].spread if claims else None,
        "published_source": claims[0].source if claims else "",
        "verdict": verdict(row.claims) if claims else "",
        "device": row.device,
        "n_seeds": len(row.measured_seeds),
        "seed_mean": row.spread[0] if row.spread else None,
        "seed_sd": row.spread[1] if row.spread else None,
        "seed_share": row.seed_share,
        "contract": row.contract.text if row.contract else "",
        "schedule": "; ".join(f"{part.part}: {part.text}" for part in row.training.parts),
        "schedule_cut": row.training.cut,
        "most_steps": row.training.most_steps,
    }


def _row_json(row: Row) -> dict[str, Any]:
    fields = {**asdict(replace(row, per_gene=(), cost=Cost())), "claims": [_claim_json(claim) for claim in row.claims]}
    del fields["per_gene"], fields["cost"]
    return fields


def _claim_json(claim: Claim) -> dict[str, Any]:
    return {**asdict(claim), "statuses": [str(status) for status in claim.statuses], "verdict": claim.verdict}


def _csv(fields: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
