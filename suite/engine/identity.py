"""Identity and content, for every task: each cohort's evidence, made once, and what it says of a board."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protocols.findings import Finding
from protocols.identity.evidence import KIND, read_evidence, write_evidence
from protocols.identity.findings import Looked, identity_findings
from protocols.identity.matches import Held
from protocols.identity.sites import shared_sites
from protocols.sealed import read_seal
from protocols.task import CohortRequest, Opened, Question
from suite.engine import keys
from suite.engine.averaged import averaged
from suite.engine.data_hash import file_hash
from suite.engine.questions import opened
from suite.engine.run import Run
from suite.engine.store import digest, forget_others, kept, made

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Compared:
    """The cohorts that a board's audit looks at, the one with the folds first, and what each pair may not share."""

    cohorts: tuple[Opened, ...]
    apart: Pairs
    independent: Pairs


def compared(run: Run, question: Question) -> Compared:
    """The board's cohorts as the task tells them apart, and those whose scores are averaged with it."""
    task = run.tasks[question.protocol.task]
    pairs = (
        tuple(task.apart(question)) if task.apart else tuple((question.cohort.name, one) for one in question.companions)
    )
    names = dict.fromkeys([question.cohort.name, question.board.cohort, *(name for pair in pairs for name in pair)])
    averages = _averaged(run, question)
    independent = tuple((one, other) for one in averages for other in averages if one < other)
    requests = run.requests(task.name)
    others = [opened(task, requests[name]) for name in averages if name not in names]
    return Compared((*(question.opened(name) for name in names), *others), pairs, independent)


def _averaged(run: Run, question: Question) -> list[str]:
    boards = {board.name: board for board in run.boards_of(question.protocol)}
    names = list(dict.fromkeys(boards[name].cohort for name in averaged(run, question.protocol)))
    return names if question.board.cohort in names else []


def identity_of(run: Run, looked_at: Compared) -> dict[str, str]:
    """What identity depends on beside the code: every cohort's evidence, its rule, and what may not be shared."""
    rules = {one.name: rule_of(run, one.request) for one in looked_at.cohorts}
    if run.tasks[looked_at.cohorts[0].request.task].evidence is None:
        return {}
    folders = {f"evidence {one.name}": read_seal(evidence_folder(run, one), KIND).hash for one in looked_at.cohorts}
    return {**folders, "identity": digest([rules, looked_at.apart, looked_at.independent])}


def identity(run: Run, question: Question, looked_at: Compared) -> list[Finding]:
    """The findings of identity and content, the task's own come after them."""
    task = run.tasks[question.protocol.task]
    if task.evidence is None:
        return [
            Finding("people and contents", "unverifiable", f"the task {task.name} does not say what its cohorts hold")
        ]
    held = tuple(_held(run, one) for one in looked_at.cohorts)
    within = "patient" not in question.protocol.disjoint
    looked = Looked(held, question.split, looked_at.apart, looked_at.independent, within)
    sites = None if within else shared_sites(held[0], question.split)
    return [*identity_findings(looked), *([sites] if sites else [])]


def _held(run: Run, cohort: Opened) -> Held:
    folder, rule = evidence_folder(run, cohort), rule_of(run, cohort.request)
    return Held(cohort.name, read_evidence(folder), rule, digest([read_seal(folder, KIND).hash, rule]))


def rule_of(run: Run, request: CohortRequest) -> str:
    return str(run.requests(request.task, auditing=True)[request.name].entry.persons)


def most_of(run: Run, request: CohortRequest) -> int:
    return int(run.requests(request.task, auditing=True)[request.name].entry.look_alikes)


def evidence_folder(run: Run, cohort: Opened) -> Path:
    """A cohort's evidence, made if it is not there."""
    request = cohort.request
    task = run.tasks[request.task]
    of = {"cohort": cohort.hash}
    key = {**of, "code": keys.of_evidence(task), "most": most_of(run, request), "seed": request.seed}
    folder = kept(KIND, request.task, request.name, key=digest(key))

    def make(part: Path) -> None:
        if task.evidence is None:
            raise RuntimeError(f"the task {task.name} has no evidence")
        write_evidence(
            part,
            task.evidence(cohort),
            hash_of=file_hash,
            most=most_of(run, request),
            seed=request.seed,
            workers=request.workers,
        )

    if made(folder, KIND, of, make):
        forget_others(folder)
    return folder
