"""Which cohorts a protocol asks: those of counts or those of proteins, cut into folds or external to one that is."""

from __future__ import annotations

from collections.abc import Mapping

from protocols.errors import UserError, did_you_mean
from protocols.expression.measures import DEFAULTS, Measure, Of, measure_named, refuse_other_kind
from protocols.expression.proteins import ProteinProtocol, ProteinReader
from protocols.protocol import Board, Protocol
from protocols.registry import load_reader
from protocols.task import CohortRequest, Question

Cohorts = Mapping[str, CohortRequest]


def measure_of(request: CohortRequest) -> Measure:
    """The measure that a cohort's entry names, or the default of what its reader gives."""
    protein = isinstance(load_reader(request.task, request.entry.reader), ProteinReader)
    given, where = request.entry.measure, f"cohorts.{request.task}.{request.name}"
    if given is None:
        return DEFAULTS["intensities" if protein else "counts"]
    found = measure_named(given, where=where)
    if protein:
        refuse_other_kind(found, "intensities", where)
    return found


def asks(protocol: Protocol) -> Of:
    """What a protocol's cohorts have."""
    return "intensities" if isinstance(protocol, ProteinProtocol) else "counts"


def boards(protocol: Protocol, cohorts: Cohorts) -> list[Board]:
    """A board a cohort with folds; of a protocol that another answers, a board an external cohort."""
    _refuse_unknown(cohorts)
    kind = asks(protocol)
    own = {name: one for name, one in cohorts.items() if measure_of(one).of == kind}
    if protocol.answered_by:
        found = [Board(protocol.name, name, name, str(one.entry.external)) for name, one in own.items() if _of(one)]
        wanted = "a cohort with external"
    else:
        found = [Board(protocol.name, name, name, name) for name, one in own.items() if not _of(one)]
        wanted = f"a cohort of {kind} with folds"
    if not found:
        raise UserError(
            f"no cohort for {protocol.name}", where="cohorts.expression", expected=wanted,
            remedy=f"add one, or drop {protocol.name}",
        )  # fmt: skip
    return found


def companions(protocol: Protocol, cohort: str, cohorts: Cohorts) -> list[str]:
    """The external cohorts that a cohort's fold models are asked about; of a protocol of counts, none."""
    if asks(protocol) == "counts":
        return []
    return [name for name, request in cohorts.items() if _of(request) == cohort]


def externals(question: Question) -> list[str]:
    """Of a question's companions, those that its fold models are asked about: all of them."""
    return list(question.companions)


def is_external(question: Question) -> bool:
    """Whether the board is of a cohort that no model of it has learnt on."""
    return question.board.cohort != question.board.fitted_on


def _of(request: CohortRequest) -> str:
    """The cohort whose models are asked about this one; empty for one with folds of its own."""
    return request.entry.external or ""


def _refuse_unknown(cohorts: Cohorts) -> None:
    """An external cohort names one of proteins that has folds; its targets are in the measure of that one."""
    known = [name for name, one in cohorts.items() if measure_of(one).of == "intensities" and not _of(one)]
    for name, request in cohorts.items():
        of, where = _of(request), f"cohorts.expression.{name}"
        if not of:
            continue
        if of not in known:
            raise UserError(
                f"external is {of!r}", where=where, expected="a cohort of intensities with folds",
                remedy=did_you_mean(of, known),
            )  # fmt: skip
        told, own = measure_of(cohorts[of]), measure_of(request)
        refuse_other_kind(own, "intensities", where)
        if request.entry.measure is not None and own.name != told.name:
            raise UserError(
                f"measure is {own.name}, that of {of} is {told.name}", where=where,
                expected="one measure: the models answer in their own", remedy="drop measure here",
            )  # fmt: skip
