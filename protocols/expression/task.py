"""Expression: cells, spots or tiles asked for their genes, as counts, or for their proteins, as intensities."""

from __future__ import annotations

from protocols.expression.settings import ExpressionSettings, SlidesEntry
from protocols.task import Part, Task

TASK = Task(
    name="expression",
    title="cells x molecules: what does each cell express?",
    cohort=SlidesEntry,
    settings=ExpressionSettings,
    needs=("oracle", "counts"),
    data_files=Part("protocols.expression.read:data_files"),
    read=Part("protocols.expression.read:read"),
    open_store=Part("protocols.expression.store:open_store"),
    boards=Part("protocols.expression.roles:boards"),
    companions=Part("protocols.expression.roles:companions"),
    evidence=Part("protocols.expression.evidence:evidence"),
    audit=Part("protocols.expression.audit:audit"),
    excluded=Part("protocols.expression.asked:excluded"),
    crops=Part("protocols.expression.view_makers:crops"),
    lacks=Part("protocols.expression.fit:lacks"),
    jobs=Part("protocols.expression.fit:jobs"),
    fit=Part("protocols.expression.fit:fit"),
    score=Part("protocols.expression.score_board:score"),
    describe=Part("protocols.expression.score_board:describe"),
    lay_out=Part("protocols.expression.submit:lay_out"),
    units=Part("protocols.expression.units:units"),
    checks=Part("protocols.expression.checks:checks"),
    learning=Part("protocols.expression.learning:learned"),
    template=Part("protocols.expression.template:template"),
    columns=("slide", "cell_id"),
)
