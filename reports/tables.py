"""The columns of a leaderboard and how each value is written; Markdown, LaTeX, terminal and page all use these."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocols.metric import Metric
from protocols.metrics.pairwise import LEAST_IN_FOLD, TELLING
from protocols.records import Interval
from reports.claims import Claim
from reports.describe import Cohort, Weights
from reports.leaderboard import Leaderboard, Row
from reports.metrics import headed
from reports.notices import Notice

MISSING = "n/a"
NOTHING = "Nothing has been scored yet: `dvc repro` predicts and scores what the run's file lists."
MINUS = "−"


@dataclass(frozen=True)
class Column:
    """``text`` writes a row's value; ``value`` is what the page sorts by (None sorts last), low values first where
    ``low_first``: names, ranks, and numbers of which less is better."""

    key: str
    title: str
    text: Callable[[Row], str]
    value: Callable[[Row], float | str | None]
    numeric: bool = True
    hint: str = ""
    low_first: bool = False


def number(value: float | None, digits: int = 3) -> str:
    """A number at a fixed precision with a true minus sign, never "-0.000"; "n/a" for None."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def interval(value: Interval) -> str:
    if value.low is None or value.high is None:
        return MISSING
    return f"{number(value.low)} to {number(value.high)}"


def behind(row: Row) -> str:
    """A model's distance to the best one, with the adjusted p; a dash for the best itself."""
    if row.behind is None:
        return "–"
    return f"{number(row.behind.difference)} (p {p_value(row.behind.p)})"


def count(value: int | None) -> str:
    """An integer with thin grouping by commas."""
    return MISSING if value is None else f"{value:,}"


def published(claim: Claim) -> str:
    spread = "" if claim.spread is None else f" ± {number(claim.spread)}"
    return number(claim.published) + spread


def published_with_source(claims: Sequence[Claim]) -> str:
    return "; ".join(published(c) + (f" ({c.source})" if c.source else "") for c in headline_claims(claims)) or MISSING


def headline_claims(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """The claims about the headline metric; the claims table shows the others too."""
    return tuple(claim for claim in claims if claim.is_headline)


def verdict(claims: Sequence[Claim]) -> str:
    verdicts = sorted({claim.verdict for claim in headline_claims(claims)})
    return " / ".join(verdicts) or MISSING


def weights_text(weights: Weights) -> str:
    """The state, where something was loaded from where, and what a frozen encoder sees."""
    loaded = [part.text for part in weights.parts if part.state in ("file", "hub")]
    sees = "; ".join(dict.fromkeys(part.sees for part in weights.parts if part.sees))
    text = weights.state + (f": {', '.join(dict.fromkeys(loaded))}" if loaded else "")
    return f"{text}; {sees}" if sees else text


def cohort_text(cohort: Cohort) -> str:
    sizes = [("slide", cohort.slides or None), ("patient", cohort.patients)]
    sizes += [("event", cohort.events)] if cohort.unit == "patient" else [(cohort.unit, cohort.cells)]
    counted = [f"{count(size)} {name}{'' if size == 1 else 's'}" for name, size in sizes if size is not None]
    counted += [f"endpoint {cohort.endpoint}"] if cohort.endpoint else []
    counted += [f"target {cohort.target}"] if cohort.target else []
    return f"{cohort.name}, {cohort.nature}" + (f": {', '.join(counted)}" if counted else "")


def device_text(row: Row) -> str:
    return row.device or MISSING


def rank_text(row: Row) -> str:
    words = {"reference": row.kind, "unranked": MISSING}
    text = str(row.rank) if row.rank is not None else words.get(row.group, "–")
    return f"{text} {row.mark}" if row.mark else text


def columns(board: Leaderboard) -> tuple[Column, ...]:
    """The columns of one leaderboard; secondary metrics that nothing was measured by are left out."""
    less = board.metrics.first.higher_is_better is False
    return (
        Column("rank", "Rank", rank_text, lambda row: row.rank, low_first=True,
               hint="1 + number of models that are better beyond chance, all pairs of the board taken together"),
        Column("model", "Model", lambda row: row.title, lambda row: row.title.lower(), numeric=False, low_first=True),
        Column("mean", board.metrics.headline, lambda row: number(row.headline.mean), lambda row: row.headline.mean,
               hint=board.metrics.means, low_first=less),
        Column("ci", "95 % CI", lambda row: interval(row.headline), lambda row: row.headline.low,
               hint="t interval over patients; where there is none, the row's details say why"),
        Column("n", "Patients", lambda row: count(row.headline.n_patients), lambda row: row.headline.n_patients),
        *((_behind_column(less),) if any(row.behind for row in board.rows) else ()),
        *((_seed_column(less),) if any(row.spread for row in board.rows) else ()),
        *(_secondary(key, board.metrics.secondary[key]) for key in board.secondary),
        *((SCHEDULE,) if any(row.training.cut for row in board.rows) else ()),
        Column("published", "Published", lambda row: published_with_source(row.claims), _published_value,
               hint="as its paper prints it"),
        Column("verdict", "Verdict", lambda row: verdict(row.claims), lambda row: verdict(row.claims), numeric=False),
        Column("weights", "Weights", lambda row: weights_text(row.weights), lambda row: row.weights.state,
               numeric=False, low_first=True),
    )  # fmt: skip


SCHEDULE = Column(
    "schedule", "Schedule", lambda row: row.training.text or "–", lambda row: row.training.text or None, numeric=False,
    hint="where our cap ended the training and not the method's own rule: no verdict on the method", low_first=True,
)  # fmt: skip


def _behind_column(less: bool) -> Column:
    hint = "difference to the best model, and its p, adjusted for all pairs of the board"
    return Column("behind", "Behind the best", behind, _difference, hint=hint, low_first=less)


def _difference(row: Row) -> float | None:
    return row.behind.difference if row.behind else None


def _seed_column(less: bool) -> Column:
    def text(row: Row) -> str:
        if row.spread is None:
            return MISSING
        share = "" if row.seed_share is None else f", {100 * row.seed_share:.0f} %"
        return f"{number(row.spread[0])} ± {number(row.spread[1])} ({len(row.measured_seeds)}{share})"

    hint = "mean and standard deviation over training seeds, how many, and the share of the variance that is seed"
    return Column("seeds", "Seeds", text, lambda row: row.spread[0] if row.spread else None, hint=hint, low_first=less)


def _secondary(key: str, metric: Metric) -> Column:
    write = {"p": p_value, "count": _rounded, "number": number}[metric.form]
    return Column(
        key,
        headed(metric),
        lambda row: write(row.summary.get(key)),
        lambda row: row.summary.get(key),
        hint=metric.hint,
        low_first=metric.higher_is_better is False or metric.form == "p",
    )


def _rounded(value: float | None) -> str:
    return MISSING if value is None else count(round(value))


def p_value(value: float | None) -> str:
    """Three digits, and below a thousandth the order of magnitude alone."""
    if value is None:
        return MISSING
    return number(value) if value >= 0.001 else f"< 1e{MINUS}{math.ceil(-math.log10(max(value, 1e-300))) - 1}"


def _published_value(row: Row) -> float | None:
    claims = headline_claims(row.claims)
    return claims[0].published if claims else None


def shared_notices(boards: Sequence[Leaderboard]) -> tuple[Notice, ...]:
    """Notices that every leaderboard has, so that they can be said once, ahead of all."""
    first = boards[0].notices if boards else ()
    return tuple(notice for notice in first if all(notice in board.notices for board in boards))


def grouped_notices(boards: Sequence[Leaderboard]) -> list[tuple[Notice, list[str]]]:
    """Each notice that not all leaderboards share, once, with the keys of those that have it; warnings first."""
    shared = shared_notices(boards)
    found: dict[Notice, list[str]] = {}
    for board in boards:
        for notice in board.notices:
            if notice not in shared:
                found.setdefault(notice, []).append(board.key)
    return sorted(found.items(), key=lambda item: item[0].level != "warning")


def tie_lines(board: Leaderboard) -> tuple[str, ...]:
    """What the patients at hand cannot tell apart, and how large a difference would have to be to show."""
    lines = [
        f"Rank {rank} is shared by {', '.join(titles[:-1])} and {titles[-1]}: "
        "for each of them the same number of models is better beyond chance."
        for rank, titles in board.ties
    ]
    if board.group("ranked") and not board.telling:
        lines.append(
            f"Fewer than {TELLING} patients, or than {LEAST_IN_FOLD} in each fold of a score by folds, can tell no two "
            "models apart: every rank is shared."
        )
    found = board.detectable
    if found is not None:
        lines.append(
            f"Between {found.best} and {found.second}, these patients would show a true difference of "
            f"{number(found.difference)} or more with 80 % power; a smaller one has not been ruled out."
        )
    return tuple(lines)


CLAIM_TITLES = ("Model", "Protocol", "Metric", "Published", "Spread is", "Source", "Measured", "Status")


def claim_cells(claim: Claim) -> tuple[str, ...]:
    """One row of the claims table, under :data:`CLAIM_TITLES`."""
    return (
        claim.title,
        claim.protocol,
        claim.words + (f", {claim.board}" if claim.board else ""),
        published(claim),
        claim.spread_is or "–",
        claim.source + (f" — {claim.note}" if claim.note else ""),
        number(claim.measured),
        claim.verdict,
    )


def counted(board: Leaderboard) -> tuple[tuple[str, str], ...]:
    """What was counted while scoring (constant genes, …) over the scored rows: one value, or a range."""
    rows = [row for row in board.rows if row.group != "skipped"]
    lines = []
    for name in sorted({name for row in rows for name in row.counts}):
        values = [row.counts[name] for row in rows if name in row.counts]
        low, high = min(values), max(values)
        lines.append((name.replace("_", " "), count(low) if low == high else f"{count(low)} to {count(high)}"))
    return tuple(lines)
