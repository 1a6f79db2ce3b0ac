"""Bulk expression: patients asked for their bulk RNA from slides, and the same models for maps of sections."""

from __future__ import annotations

from protocols.bulk.settings import BulkEntry, BulkSettings
from protocols.task import Part, Task

TASK = Task(
    name="bulk",
    title="patients x molecules: what would bulk RNA of the slide's patient say?",
    cohort=BulkEntry,
    settings=BulkSettings,
    needs=("oracle", "normal", "weights"),
    data_files=Part("protocols.bulk.read:data_files"),
    read=Part("protocols.bulk.read:read"),
    open_store=Part("protocols.bulk.store:open_store"),
    boards=Part("protocols.bulk.roles:boards"),
    companions=Part("protocols.bulk.roles:companions"),
    evidence=Part("protocols.bulk.evidence:evidence"),
    apart=Part("protocols.bulk.roles:apart"),
    audit=Part("protocols.bulk.audit:audit"),
    excluded=Part("protocols.bulk.audit:excluded"),
    crops=Part("protocols.bulk.super_tiles:crops"),
    serves=Part("protocols.bulk.super_tiles:serves"),
    derive=Part("protocols.bulk.super_tiles:derive"),
    lacks=Part("protocols.bulk.fit:lacks"),
    pretrains_on=Part("protocols.bulk.roles:pretrains_on"),
    pretrain=Part("protocols.bulk.fit:pretrain"),
    jobs=Part("protocols.bulk.fit:jobs"),
    fit=Part("protocols.bulk.fit:fit"),
    join=Part("protocols.bulk.fit:join"),
    score=Part("protocols.bulk.score_board:score"),
    score_control=Part("protocols.bulk.score_board:score_control"),
    average=Part("protocols.bulk.score_board:average"),
    describe=Part("protocols.bulk.score_board:describe"),
    boards_in=Part("protocols.bulk.submit:boards_in"),
    lay_out=Part("protocols.bulk.submit:lay_out"),
    units=Part("protocols.bulk.units:units"),
    targets=Part("protocols.bulk.units:targets"),
    checks=Part("protocols.bulk.checks:checks"),
    learning=Part("protocols.bulk.learning:learned"),
    template=Part("protocols.bulk.template:template"),
    notices=Part("protocols.bulk.notices:notices"),
    names=("slide", "patient", "section"),
)
