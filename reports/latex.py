"""Leaderboards as LaTeX tables (needs the package ``booktabs``), ready to be taken into a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.claims import Claim
from reports.leaderboard import Leaderboard
from reports.tables import CLAIM_TITLES, MINUS, claim_cells, cohort_text, columns

LEFT_OUT = frozenset({"published", "verdict"})
"""Too wide for a page; the claims table has the published numbers."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    MINUS: r"$-$",
    "±": r"$\pm$",
    "–": "--",
    "—": "---",
    "·": r"$\cdot$",
    "µ": r"$\mu$",
    "↓": r"$\downarrow$",
    "†": r"$\dagger$",
}


def latex(boards: Sequence[Leaderboard], claims: Sequence[Claim]) -> str:
    """One ``table`` environment a protocol and one for the published claims."""
    parts = [r"% Needs \usepackage{booktabs} and, for names beyond ASCII, \usepackage[T1]{fontenc}."]
    parts += [_board(board) for board in boards]
    if claims:
        caption = "Published numbers, the measured ones, and whether the two may be compared."
        aligned = "lll" + "l" * (len(CLAIM_TITLES) - 3)
        parts.append(_table(CLAIM_TITLES, aligned, [[claim_cells(claim) for claim in claims]], caption, "claims"))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(SPECIAL.get(character, character) for character in re.sub(r"\s+", " ", text))


def _board(board: Leaderboard) -> str:
    shown = [column for column in columns(board) if column.key not in LEFT_OUT]
    aligned = "".join("r" if column.numeric else "l" for column in shown)
    groups = [[[c.text(row) for c in shown] for row in board.group(g)] for g in ("ranked", "unranked", "reference")]
    warnings = " ".join(notice.text for notice in board.notices if notice.level == "warning")
    caption = (
        f"{board.title} (protocol {board.protocol}, version {board.version}, profile {board.profile}; "
        f"cohort {cohort_text(board.cohort)}). {board.metrics.means}; models of one rank cannot be told apart. "
        f"{warnings}"
    )
    return _table([column.title for column in shown], aligned, groups, caption.strip(), board.key)


def _table(
    titles: Sequence[str], aligned: str, groups: Sequence[Sequence[Sequence[str]]], caption: str, label: str
) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(escape(cell) for cell in cells) + r" \\"

    body = ("\n" + r"\midrule" + "\n").join("\n".join(map(line, group)) for group in groups if group)
    safe_label = re.sub(r"[^A-Za-z0-9]+", "-", label)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{safe_label}}}",
            rf"\begin{{tabular}}{{{aligned}}}",
            r"\toprule",
            line(titles),
            r"\midrule",
            *([body] if body else []),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
