"""Virtual staining: H&E patches asked for their IHC images."""

from __future__ import annotations

from protocols.staining.settings import PairsEntry, StainingSettings
from protocols.task import Part, Task

TASK = Task(
    name="staining",
    title="patches x image: what would the IHC look like?",
    cohort=PairsEntry,
    settings=StainingSettings,
    needs=("oracle",),
    data_files=Part("protocols.staining.read:data_files"),
    read=Part("protocols.staining.read:read"),
    open_store=Part("protocols.staining.store:open_store"),
    boards=Part("protocols.staining.boards:boards"),
    evidence=Part("protocols.staining.evidence:evidence"),
    audit=Part("protocols.staining.audit:audit"),
    excluded=Part("protocols.staining.audit:excluded"),
    crops=Part("protocols.staining.tile_crops:crops"),
    lacks=Part("protocols.staining.fit:lacks"),
    jobs=Part("protocols.staining.fit:jobs"),
    fit=Part("protocols.staining.fit:fit"),
    score=Part("protocols.staining.score_board:score"),
    describe=Part("protocols.staining.score_board:describe"),
    boards_in=Part("protocols.staining.submit:boards_in"),
    lay_out=Part("protocols.staining.submit:lay_out"),
    units=Part("protocols.staining.units:units"),
    checks=Part("protocols.staining.checks:checks"),
    learning=Part("protocols.staining.learning:learned"),
    template=Part("protocols.staining.template:template"),
    by_folder=True,
)
