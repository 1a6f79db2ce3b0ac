"""What each cohort of the task is for: cut into folds, asked about, pre-trained on, or a set of sections."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.contract import Card
from protocols.errors import UserError, did_you_mean
from protocols.protocol import Board, Protocol
from protocols.task import CohortRequest, Question


def discovery(cohorts: Mapping[str, CohortRequest]) -> list[str]:
    return [name for name, request in cohorts.items() if request.entry.is_discovery]


def externals(cohort: str, cohorts: Mapping[str, CohortRequest]) -> list[str]:
    return [name for name, request in cohorts.items() if request.entry.external == cohort]


def sections(cohort: str, cohorts: Mapping[str, CohortRequest]) -> list[str]:
    return [name for name, request in cohorts.items() if request.entry.sections_of == cohort]


def normal(cohorts: Mapping[str, CohortRequest]) -> str:
    """The cohort of normal tissue; empty without one."""
    found = [name for name, request in cohorts.items() if request.entry.normal]
    if len(found) > 1:
        raise UserError(
            f"{len(found)} cohorts of normal tissue",
            where="cohorts.bulk",
            expected="one at most",
            remedy="join them in one table",
        )
    return found[0] if found else ""


def boards(protocol: Protocol, cohorts: Mapping[str, CohortRequest]) -> list[Board]:
    """A board a cohort with folds; of a protocol that another answers, a board a cohort of sections."""
    _refuse_unknown(cohorts)
    if not protocol.answered_by:
        return [Board(protocol.name, name, name, name) for name in discovery(cohorts)]
    found = [(name, request.entry.sections_of) for name, request in cohorts.items() if request.entry.sections_of]
    if not found:
        raise UserError(
            f"no sections for {protocol.name}", where="cohorts.bulk", expected="a cohort with sections_of",
            remedy=f"add one, or drop {protocol.name}",
        )  # fmt: skip
    return [Board(protocol.name, name, name, str(of)) for name, of in found]


def companions(_protocol: Protocol, cohort: str, cohorts: Mapping[str, CohortRequest]) -> list[str]:
    """Cohorts that a cohort's fits are asked about, and the normal tissue that they may have learnt from."""
    own = [*externals(cohort, cohorts), *sections(cohort, cohorts)]
    return [*own, *([normal(cohorts)] if normal(cohorts) else [])]


def role_of(question: Question, name: str) -> str:
    """``external``, ``sections`` or ``normal``."""
    entry = question.opened(name).entry
    return "normal" if entry.normal else "sections" if entry.sections_of else "external"


def named(question: Question, role: str) -> list[str]:
    """The companions of a role."""
    return [name for name in question.companions if role_of(question, name) == role]


def apart(question: Question) -> list[tuple[str, str]]:
    """Which cohorts may share nobody: with all folds every patient trains in some, and all of the normal tissue
    pre-trains. Sections are looked at by the protocol whose boards they are."""
    maps = question.board.cohort != question.board.fitted_on
    asked = [*named(question, "external"), *(named(question, "sections") if maps else [])]
    learnt = [question.cohort.name, *named(question, "normal")]
    return [(one, other) for one in learnt for other in asked] + [(learnt[0], other) for other in learnt[1:]]


def pretrains_on(question: Question, card: Card) -> str:
    """Normal tissue, for a card that needs it."""
    found = named(question, "normal")
    return found[0] if "normal" in card.needs and found else ""


def _refuse_unknown(cohorts: Mapping[str, CohortRequest]) -> None:
    known = discovery(cohorts)
    for name, request in cohorts.items():
        for key in ("external", "sections_of"):
            of = getattr(request.entry, key)
            if of and of not in known:
                raise UserError(
                    f"{key} is {of!r}", where=f"cohorts.bulk.{name}", expected="a cohort with folds",
                    remedy=did_you_mean(str(of), known),
                )  # fmt: skip
        side = request.entry.window_side(request.settings.super_tiles)
        if request.entry.sections_of and side**2 != request.settings.super_tiles:
            raise UserError(
                f"windows of {side} x {side} tiles",
                where=f"cohorts.bulk.{name}",
                expected=f"as many as super-tiles ({request.settings.super_tiles}): a model has one place for each",
                remedy="change window, or tasks.bulk.super_tiles",
            )
