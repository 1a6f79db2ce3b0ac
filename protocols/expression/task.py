"""Single-cell expression: cells or spots asked for the expression of their genes."""

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
    evidence=Part("protocols.expression.evidence:evidence"),
    audit=Part("protocols.expression.audit:audit"),
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
