"""Made-up score records, sealed as scoring seals them; numbers are drawn around a stated skill per model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from protocols.expression.metrics import METRICS
from protocols.records import KIND, MAPS_FILE, Interval, ScoreRecord
from protocols.registry import load_protocol, protocol_modules
from protocols.sealed import write_seal
from protocols.seeds import generator

BOARD = "phantom"
PROTOCOLS = {
    "intra_patient": ("Intra-patient single-cell expression", 1.0),
    "inter_patient": ("Inter-patient single-cell expression", 0.8),
    "cross_cancer": ("Cross-cancer single-cell expression", 0.5),
}
MODELS = {
    "past": ("PAST (faithful)", "model", 0.46),
    "uni": ("UNI", "model", 0.41),
    "conch": ("CONCH", "model", 0.40),
    "stnet": ("ST-Net", "model", 0.30),
    "resnet50": ("ResNet-50", "model", 0.24),
    "oracle": ("Oracle", "oracle", 0.62),
    "stain": ("Stain statistics", "control", 0.12),
    "shuffled": ("Shuffled labels", "control", 0.0),
}
PUBLISHED: dict[str, Any] = {
    "protocol": "intra_patient",
    "metric": "pearson_per_slide",
    "words": "mean per-gene Pearson r",
    "board": "",
    "value": 0.619,
    "spread": 0.099,
    "spread_is": "SD over tumour types",
    "source": "PAST, Results",
    "note": "",
}
COHORT = {"name": "phantom-mini", "phantom": True, "unit": "cell", "n_slides": 6, "n_patients": 6, "n_cells": 2400}


def record(
    protocol: str = "intra_patient", model: str = "uni", per_patient: dict[str, float] | None = None, **changes: Any
) -> ScoreRecord:
    """A scored record of a model; the interval is the patients' range, so that it is known by hand."""
    patients = {"p1": 0.3, "p2": 0.5} if per_patient is None else per_patient
    values = list(patients.values())
    headline = Interval(float(np.mean(values)), min(values), max(values), len(values)) if values else None
    made = ScoreRecord(
        protocol=protocol,
        protocol_version="1",
        protocol_title=PROTOCOLS.get(protocol, (protocol, 0))[0],
        model=model,
        kind="model",
        status="scored",
        reason="",
        card={"name": model, "title": model, "kind": "model", "published": []},
        weights=[{"part": "encoder", "source": "random", "revision": None, "sha256": None}],
        profile="mini",
        seed=0,
        device="cpu",
        libraries={"numpy": "2.4"},
        cohort=COHORT,
        hashes={"cohort": "c0ffee", "split": "5p11t"},
        headline=headline or Interval(None, None, None, 0),
        per_patient=patients,
        board=BOARD,
        **declared(protocol),
    )
    return replace(made, **changes)


def pseudo_values(values: np.ndarray[Any, Any]) -> dict[str, list[Any]]:
    """As a record keeps a headline that is no mean over patients; one fold."""
    n = len(values)
    return {
        "patient": [f"p{i:03d}" for i in range(n)],
        "value": values.tolist(),
        "weight": [1 / n] * n,
        "stratum": ["0"] * n,
    }


def declared(protocol: str) -> dict[str, Any]:
    """What the protocol itself says of its metrics and place; a made-up one is measured as expression is."""
    known = load_protocol(protocol) if protocol in protocol_modules() else None
    metrics = METRICS if known is None else known.metrics
    return {"metrics": [asdict(metric) for metric in metrics], "place": 100 if known is None else known.place}


def skipped(protocol: str, model: str, reason: str) -> ScoreRecord:
    return record(protocol, model, {}, status="skipped", reason=reason, weights=[], hashes={})


def study(patients: int = 6, genes: int = 120) -> list[ScoreRecord]:
    """A whole study: three protocols, eight models and controls, one skipped cell."""
    return [
        _drawn(protocol, model, patients, genes)
        for protocol in PROTOCOLS
        for model in MODELS
        if (protocol, model) != ("cross_cancer", "stain")
    ] + [skipped("cross_cancer", "stain", "too few cells of one colour")]


def _drawn(protocol: str, model: str, patients: int, genes: int) -> ScoreRecord:
    title, kind, skill = MODELS[model]
    hard = PROTOCOLS[protocol][1]
    random = generator(0, "synthetic", protocol, model)
    shared = generator(0, "synthetic", protocol)
    difficulty = shared.normal(0, 0.05, patients)
    per_patient = {f"P{i:02d}": float(skill * hard + difficulty[i] + random.normal(0, 0.02)) for i in range(patients)}
    share = np.where(np.arange(genes) % 6 == 0, 0.0, shared.uniform(0.05, 0.9, genes))
    reachable = np.sqrt(share) * 0.85
    r = np.clip(reachable * hard * skill / 0.62 + random.normal(0, 0.04, genes), -1, 1)
    per_gene = [
        {
            "gene": f"GENE{i:03d}",
            "pearson": None if i == 7 else float(r[i]),
            "reachable": float(reachable[i]),
            "visible_share": float(share[i]),
            "n_units": patients,
        }
        for i in range(genes)
    ]
    values = np.array(list(per_patient.values()))
    mean, spread = float(values.mean()), float(values.std() / np.sqrt(patients))
    return record(
        protocol,
        model,
        per_patient,
        kind=kind,
        headline=Interval(mean, mean - 2 * spread, mean + 2 * spread, patients),
        card={
            "name": model,
            "title": title,
            "kind": kind,
            "summary": "A made-up model of the tests.",
            "paper": "A paper",
            "licence": "MIT",
            "published": [PUBLISHED] if model == "past" else [],
        },
        weights=[] if kind != "model" else record().weights,
        summary={
            "pearson_pooled": mean + 0.03,
            "spearman_per_slide": mean - 0.01,
            "mse_per_slide": 0.8 - mean,
            "ari": None if model == "shuffled" else 0.8 * mean,
            "rare_f1": 0.9 * max(mean, 0),
            "pearson_invisible_genes": float(random.normal(0, 0.01)),
        },
        counts={"cells": 2400, "constant_truth": 3, "genes": genes},
        per_gene=per_gene,
        excluded=[{"what": "cancer skin", "reason": "one patient only"}],
    )


def maps(model: str, slides: int = 4, cells: int = 500) -> pd.DataFrame:
    """One marker on each slide: a smooth field as truth, a model's noisy view of it as prediction."""
    tables = []
    for slide in range(slides):
        shared, random = generator(0, "map", slide), generator(0, "map", slide, model)
        x, y = shared.uniform(0, 800, cells), shared.uniform(0, 600, cells)
        truth = 2 + np.sin(x / 110 + slide) + np.cos(y / 90) + shared.normal(0, 0.4, cells)
        skill = MODELS[model][2] if model in MODELS else 0.5
        predicted = 2 + skill * (truth - 2) + random.normal(0, 0.25, cells)
        tables.append(
            pd.DataFrame(
                {"slide": f"S{slide}", "gene": "EPCAM", "x_um": x, "y_um": y, "truth": truth, "predicted": predicted}
            ).astype({"x_um": "float32", "y_um": "float32", "truth": "float32", "predicted": "float32"})
        )
    return pd.concat(tables, ignore_index=True)


def write(records: Sequence[ScoreRecord], scores: Path, *, with_maps: bool = True, cells: int = 500) -> Path:
    """Write records (and maps of the scored ones) as ``<scores>/<protocol>/<board>/<model>/seed<k>/``."""
    for made in records:
        tables = {MAPS_FILE: maps(made.model, cells=cells)} if with_maps and made.status == "scored" else {}
        sealed(made, folder_of(made, scores), tables)
    return scores


def folder_of(made: ScoreRecord, scores: Path) -> Path:
    return scores / made.protocol / made.board / made.model / f"seed{made.seed}"


def sealed(made: ScoreRecord, folder: Path, tables: Mapping[str, pd.DataFrame] | None = None) -> Path:
    """One cell's folder: the record, the tables that stand beside it, and the seal over all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (tables or {}).items():
        table.to_parquet(folder / name, index=False)
    made.write(folder)
    write_seal(folder, KIND, {})
    return folder
