"""Prepares one protocol alone: its cohorts, folds and controls, whatever else the run's file names."""

from __future__ import annotations

from protocols.registry import load_protocol
from suite.config import Config
from suite.engine.ask import run_ask
from suite.engine.named_weights import refuse_unused
from suite.engine.predict import run_predict
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.score import run_score


def narrowed(config: Config, protocol: str, models: tuple[str, ...] | None = None) -> Run:
    """The run of one protocol, listed or not; ``models``: in place of the listed ones."""
    known = {load_protocol(listed).name: listed for listed in config.protocols}
    listed = known.get(protocol) or protocol
    changes = {"protocols": (listed,)} | ({} if models is None else {"models": models})
    return Run(config.model_copy(update=changes))


def prepare(config: Config, protocol: str) -> Run:
    """Read and ask, if that has not been done; the run of the protocol alone. Weights that nobody would load are
    refused, as the plan refuses them."""
    refuse_unused(Run(config))
    run = narrowed(config, protocol)
    run_read(run)
    run_ask(run)
    return run


def add_controls(run: Run) -> None:
    """Fit and score the listed controls of a prepared run's protocol: nothing that claims insight is trained."""
    ((protocol, task),) = ((one.name, one.task) for one in run.protocols.values())
    controls = tuple(entry.name for entry in run.models_of(task) if entry.card.kind != "model")
    small = narrowed(run.config, protocol, controls)
    run_predict(small)
    run_score(small)
