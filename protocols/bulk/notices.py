"""What a reader of a board of maps must know before reading a rank."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.records import ScoreRecord

ROUNDING = 1e-9


def notices(records: Sequence[ScoreRecord]) -> list[tuple[str, str]]:
    """Where a constant map has a smaller Earth Mover's Distance than a model, the distance must not be read alone."""
    constant = [r for r in records if r.kind == "control" and r.counts.get("constant_maps") and _says_nothing(r)]
    distance = constant[0].summary.get("emd_median") if constant else None
    models = [r.summary.get("emd_median") for r in records if r.kind == "model"]
    known = [value for value in models if value is not None]
    if distance is None or not known:
        return []
    nearer = sum(value > distance for value in known)
    return [
        (
            "warning" if nearer else "note",
            f"A constant map has an Earth Mover's Distance of {distance:.3f}; {nearer} of {len(known)} models lie "
            "farther from the truth than that. Maps are ranked by Pearson r.",
        )
    ]


def _says_nothing(record: ScoreRecord) -> bool:
    """Pearson r of a constant map is 0 up to rounding: percentile scores are float64, and their mean is not exact."""
    return record.headline.mean is not None and abs(record.headline.mean) < ROUNDING
