"""The tables of docs/learning.md: written by the tests that measure them (-m learning, -m full_smoke)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from suite.engine.learning import Gate
from suite.engine.smoke import Smoke

PAGE = Path(__file__).resolve().parents[2] / "docs" / "learning.md"


def write_table(
    found: Sequence[Gate], expected: Mapping[str, str], alike: Mapping[str, Sequence[str]], page: Path = PAGE
) -> None:
    """What each model makes of the planted signal; those that no optimiser moves are told in one line."""
    trained = [one for one in found if one.updates]
    rows = [
        (
            f"`{one.model}`", one.task, str(one.updates), *_numbers(one), _verdict(one, expected),
        )
        for one in trained
    ]  # fmt: skip
    titles = ("model", "task", "updates", "recovered", "threshold", "best", "share", "verdict")
    closed = [f"`{one.model}`: {one.learned.share:.2f}" for one in found if not one.updates and one.learned]
    missing = sorted(set(alike) - {one.model for one in found})
    signals = dict.fromkeys((one.task, one.learned.measure) for one in found if one.learned)
    text = [
        *_table(titles, rows),
        "",
        *(f"- {task}: {measure}." for task, measure in signals),
        "",
        f"Without an optimiser (closed forms, trees; share): {', '.join(closed)}.",
        "",
        *(
            f"- `{first}` stands for {', '.join(f'`{one}`' for one in others)}: one class, another card."
            for first, others in alike.items()
            if others
        ),
        *(["", f"Not measured in this run: {', '.join(f'`{one}`' for one in missing)}."] if missing else []),
    ]
    _between("gate", text, page)


def write_smoke(found: Sequence[Smoke], names: Iterable[str], page: Path = PAGE) -> None:
    """Time and peak memory of a step or two at published sizes."""
    titles = ("model or encoder", "task", "parameters", "updates", "loss, first to last", "seconds", "peak MiB", "")
    rows = [
        (
            f"`{one.name}`", one.task, f"{one.parameters:,}", str(one.updates),
            "–" if one.first_loss is None or one.last_loss is None else f"{one.first_loss:.4g} to {one.last_loss:.4g}",
            f"{one.seconds:.0f}", f"{one.peak_memory_mib:,}", one.problem or "runs",
        )
        for one in found
    ]  # fmt: skip
    missing = sorted(set(names) - {one.name for one in found})
    said = ["", f"Not measured in this run: {', '.join(f'`{one}`' for one in missing)}."] if missing else []
    _between("full", [*_table(titles, rows), *said], page)


def _numbers(one: Gate) -> tuple[str, str, str, str]:
    """Recovered, threshold, best, share."""
    found = one.learned
    if found is None:
        return ("–",) * 4
    return f"{found.recovered:.3f}", f"{found.threshold:.3f}", f"{found.best:.3f}", f"{found.share:.2f}"


def _verdict(one: Gate, expected: Mapping[str, str]) -> str:
    if not one.problem:
        return "recovers it"
    return f"{one.problem} (expected: {expected[one.model]})" if one.model in expected else one.problem


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [titles, ["---"] * len(titles), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _between(name: str, lines: Sequence[str], page: Path) -> None:
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    page.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")
