"""Stage ``bulk``: read one cohort with bulk expression, tile its slides, and make its folds."""

from __future__ import annotations

import typer

from protocols import load_bulk_protocol
from protocols.bulk.splitting import published_folds, write_bulk_split
from suite.bulk.cohorts import read_bulk_cohort
from suite.config import Config
from suite.places import SPLITS


def run(config: Config, name: str) -> None:
    """Write ``runs/bulk/<name>`` and, for a cohort that is cut into folds, its split."""
    store = read_bulk_cohort(config, name)
    typer.echo(f"{name}: {len(store.patients)} patients, {len(store.slides)} slides, {len(store.genes)} genes")
    for item in store.excluded:
        typer.echo(f"  left out: {item.what}: {item.reason}")
    protocol, folder = load_bulk_protocol("tcga_expression"), SPLITS / "tcga_expression" / name
    folds = published_folds(store.patients, config.seed, protocol.folds) if name in config.bulk.discovery else []
    folder.mkdir(parents=True, exist_ok=True)
    if folds:
        write_bulk_split(
            folder,
            folds,
            protocol=protocol.name,
            version=protocol.version,
            cohort=store.hash,
            seed=config.seed,
            patients=store.patients,
            excluded=store.excluded,
        )
