"""The family: one fraction a slide."""

from cell_fraction.settings import FractionEntry, FractionSettings
from protocols.task import Part, Task

TASK = Task(
    name="cell_fraction",
    title="slides x fraction: how much of a slide is cells?",
    cohort=FractionEntry,
    settings=FractionSettings,
    needs=(),
    data_files=Part("cell_fraction.cohort:data_files"),
    read=Part("cell_fraction.cohort:read"),
    open_store=Part("cell_fraction.cohort:open_store"),
    audit=Part("cell_fraction.folds:audit"),
    crops=Part("cell_fraction.cohort:crops"),
    jobs=Part("cell_fraction.fit:jobs"),
    fit=Part("cell_fraction.fit:fit"),
    score=Part("cell_fraction.score:score"),
    describe=Part("cell_fraction.score:describe"),
    lay_out=Part("cell_fraction.answers:lay_out"),
    units=Part("cell_fraction.answers:units"),
    checks=Part("cell_fraction.checks:checks"),
    template=Part("cell_fraction.checks:template"),
    columns=("slide",),
)
