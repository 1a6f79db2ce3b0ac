"""Ask: each protocol's folds, and the proof that nothing of them leaks. A leak stops the run, its report written."""

from __future__ import annotations

from pathlib import Path

from protocols.findings import Audit, read_audit, write_audit_file
from protocols.protocol import Board, Protocol
from protocols.splits import Exclusion, Split, write_split_files
from protocols.task import Question
from suite.engine import keys, store
from suite.engine.questions import hashes_of, opened, question_of, split_hash
from suite.engine.run import Run
from suite.engine.store import digest, forget_others, kept, made, placed
from suite.places import AUDITS, SPLITS, audit_folder, split_folder


def run_ask(run: Run) -> None:
    """Write ``runs/splits`` and ``runs/audits`` of every board; a failed audit is raised once all are written."""
    for protocol, board in run.fit_boards:
        split_board(run, protocol, board)
    failed = []
    for protocol, board in audited(run):
        audit = audit_board(run, protocol, board)
        if audit.failed:
            failed.append(audit_folder(protocol.name, board.cohort))
    for folder in failed:
        read_audit(folder)  # raises, in the words of whoever would have gone on


def audited(run: Run) -> list[tuple[Protocol, Board]]:
    """One board a protocol and cohort, of the fitting protocols and of those that they answer."""
    pairs = [*run.fit_boards, *((run.protocols[board.protocol], board) for board in run.boards)]
    found = {(protocol.name, board.cohort): (protocol, board) for protocol, board in reversed(pairs)}
    return list(reversed(found.values()))


def split_board(run: Run, protocol: Protocol, board: Board) -> None:
    request = run.requests(protocol.task)[board.fitted_on]
    task = run.tasks[protocol.task]
    cohort = opened(task, request)
    of = {
        "cohort": cohort.hash,
        "protocol": digest(keys.of_split(run, protocol) | {"settings": cohort.settings.model_dump(mode="json")}),
    }
    folder = kept("splits", protocol.name, board.fitted_on, key=digest(of))

    def make(part: Path) -> None:
        write_split_files(part, _split(protocol, cohort.store, request))

    made(folder, "split", of, make)
    forget_others(folder)
    placed(folder, split_folder(protocol.name, board.fitted_on), "split")


def _split(protocol: Protocol, store: object, request: object) -> Split:
    if protocol.split is None:
        raise RuntimeError(f"protocol {protocol.name} is answered by another and has no folds of its own")
    return protocol.split(store, request.settings, request.seed)  # type: ignore[attr-defined]


def audit_board(run: Run, protocol: Protocol, board: Board) -> Audit:
    question = question_of(run, protocol, board)
    fitter = run.fitting[protocol.answered_by or protocol.name]
    split = split_hash(fitter, board.fitted_on)
    of = {"split": split, **hashes_of(question)}
    folder = kept("audits", protocol.name, board.cohort, key=digest(of | {"key": keys.of_audit(run, protocol)}))
    found: list[Audit] = []

    def make(part: Path) -> None:
        found.append(_audit(run, question))
        write_audit_file(part, found[0])

    made(folder, "audit", of, make)
    forget_others(folder)
    placed(folder, audit_folder(protocol.name, board.cohort), "audit")
    audit = found[0] if found else read_audit(folder, failing=True)[0]
    if found:
        show(audit)
    return audit


def _audit(run: Run, question: Question) -> Audit:
    task = run.tasks[question.protocol.task]
    findings, folds = task.audit(question)
    more: list[Exclusion] = list(task.excluded(question)) if task.excluded else []
    return Audit(
        protocol=question.protocol.name,
        version=question.protocol.version,
        cohort=question.board.cohort,
        findings=tuple(findings),
        folds=tuple(folds),
        excluded=(*more, *question.split.excluded),
    )


def show(audit: Audit) -> None:
    """The audit as a person reads it."""
    from rich.console import Console
    from rich.table import Table

    colour = {"pass": "green", "note": "cyan", "fail": "bold red", "unverifiable": "yellow"}
    table = Table(title=f"leak audit: {audit.protocol}, {audit.cohort}", title_justify="left")
    for column in ("check", "verdict", "detail"):
        table.add_column(column)
    for finding in audit.findings:
        table.add_row(finding.check, f"[{colour[finding.verdict]}]{finding.verdict}[/]", finding.detail)
    console = Console()
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for item in audit.excluded:
        reasons.setdefault(item.reason, []).append(item.what)
    for reason, what in reasons.items():
        named = what[0] if len(what) == 1 else f"{len(what)}, first {what[0]}"
        console.print(f"  left out: {named}: {reason}", highlight=False)


def remove_others(run: Run) -> None:
    """Splits and audits of earlier run files."""
    splits = {split_folder(protocol.name, board.fitted_on) for protocol, board in run.fit_boards}
    audits = {audit_folder(protocol.name, board.cohort) for protocol, board in audited(run)}
    store.remove_others(SPLITS, "*/*", splits)
    store.remove_others(AUDITS, "*/*", audits)
