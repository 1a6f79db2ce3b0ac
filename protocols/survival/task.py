"""Survival: patients asked for the order of their events."""

from __future__ import annotations

from protocols.survival.settings import PatientEntry, SurvivalSettings
from protocols.task import Part, Task

TASK = Task(
    name="survival",
    title="patients x follow-up: who has their event first?",
    cohort=PatientEntry,
    settings=SurvivalSettings,
    needs=("slides", "genomic", "clinical", "proteins", "protein_tokens", "oracle"),
    data_files=Part("protocols.survival.read:data_files"),
    read=Part("protocols.survival.read:read"),
    open_store=Part("protocols.survival.store:open_store"),
    evidence=Part("protocols.survival.evidence:evidence"),
    audit=Part("protocols.survival.audit:audit"),
    excluded=Part("protocols.survival.audit:excluded"),
    crops=Part("protocols.survival.bags:crops"),
    serves=Part("protocols.survival.bags:serves"),
    lacks=Part("protocols.survival.fit:lacks"),
    jobs=Part("protocols.survival.fit:jobs"),
    fit=Part("protocols.survival.fit:fit"),
    score=Part("protocols.survival.score_board:score"),
    average=Part("protocols.survival.score_board:average"),
    describe=Part("protocols.survival.score_board:describe"),
    boards_in=Part("protocols.survival.submit:boards_in"),
    lay_out=Part("protocols.survival.submit:lay_out"),
    units=Part("protocols.survival.units:units"),
    checks=Part("protocols.survival.checks:checks"),
    learning=Part("protocols.survival.learning:learned"),
    template=Part("protocols.survival.template:template"),
    notices=Part("protocols.survival.notices:notices"),
    columns=("cohort", "fold"),
    names=("patient", "case_id"),
)
