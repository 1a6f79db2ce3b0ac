"""Tissue source sites on both sides of a fold: a hospital's stain and scanner are learnt with it (Howard and others,
Nature Communications 2021), so a score on patients of a training site says less of a site that nobody has seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocols.contract import RowArray
from protocols.findings import Finding
from protocols.identity.matches import Held
from protocols.identity.persons import source_site
from protocols.splits import Split

SITES = "TCGA source sites on both sides"
LISTED = 10
"""Folds that are told one by one."""


def shared_sites(cohort: Held, split: Split) -> Finding | None:
    """A note: per fold the source sites that are trained on and tested, and the test patients of these; None where no
    patient has a TCGA barcode."""
    of = [
        (str(who), site, item.rows)
        for item, who in zip(cohort.items, cohort.people, strict=True)
        if who and (site := source_site(str(item.person)))
    ]
    if not of:
        return None
    told = []
    for fold in split.folds:
        learnt = {site for rows in (fold.train, fold.validation) for _, site in _people(of, rows)}
        tested = _people(of, fold.test)
        again = [site for _, site in tested if site in learnt]
        if tested:
            told.append((fold.name, len(set(again)), len({site for _, site in tested}), len(again) / len(tested)))
    if not told:
        return None
    shares = [share for *_, share in told]
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    whole = f"{low if low == high else f'{low} to {high}'} of a fold's test patients are of a site that is trained on"
    each = "; ".join(
        f"fold {name}: {shared} of {of} sites, {share:.0%} of patients" for name, shared, of, share in told
    )
    return Finding(SITES, "note", f"{whole} ({each})" if len(told) <= LISTED else f"{whole}, in {len(told)} folds")


def _people(of: Sequence[tuple[str, str, tuple[int, int]]], rows: RowArray) -> set[tuple[str, str]]:
    """Who has a row among ``rows``, which ascend, with their sites."""
    inside = np.diff(np.searchsorted(rows, np.array([span for _, _, span in of])), axis=1)[:, 0] > 0
    return {(who, site) for (who, site, _), here in zip(of, inside.tolist(), strict=True) if here}
