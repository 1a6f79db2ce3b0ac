"""Response: patients asked whether a treatment will help them."""

from __future__ import annotations

from protocols.response.settings import ResponseEntry, ResponseSettings
from protocols.task import Part, Task

TASK = Task(
    name="response",
    title="patients x response: whom does the treatment help?",
    cohort=ResponseEntry,
    settings=ResponseSettings,
    needs=("clinical", "pdl1", "tmb", "proteins", "niches", "oracle"),
    data_files=Part("protocols.response.read:data_files"),
    read=Part("protocols.response.read:read"),
    open_store=Part("protocols.response.store:open_store"),
    evidence=Part("protocols.response.evidence:evidence"),
    audit=Part("protocols.response.audit:audit"),
    excluded=Part("protocols.response.audit:excluded"),
    lacks=Part("protocols.response.fit:lacks"),
    jobs=Part("protocols.response.fit:jobs"),
    fit=Part("protocols.response.fit:fit"),
    score=Part("protocols.response.score_board:score"),
    describe=Part("protocols.response.score_board:describe"),
    lay_out=Part("protocols.response.submit:lay_out"),
    units=Part("protocols.response.units:units"),
    checks=Part("protocols.response.checks:checks"),
    learning=Part("protocols.response.learning:learned"),
    template=Part("protocols.response.template:template"),
    notices=Part("protocols.response.notices:notices"),
    columns=("patient",),
)
