"""Whatever a process of the pipeline really imported is in the key of its result, for every task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import pytest

from protocols.registry import load_protocol, load_task, module_of, task_modules
from protocols.task import CohortRequest
from suite.engine import keys, plan
from suite.engine.closure import CHECKOUT
from suite.engine.run import Run
from tests.suite.engine.recorded import hashed_by
from tests.suite.engine.small_run import PROTOCOLS, TASKS, SmallRun


def missed(loaded: Iterable[str], hashed: set[str]) -> list[str]:
    return sorted(set(loaded) - hashed)


def first_request(run: Run, task: str) -> CohortRequest:
    return next(iter(run.requests(task).values()))


@pytest.fixture(scope="module")
def run(finished: SmallRun) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        yield finished.run()


@pytest.mark.parametrize("task", TASKS)
def test_what_reading_imported_is_in_the_key_of_the_cohort(finished: SmallRun, run: Run, task: str) -> None:
    loaded = finished.loaded()[f"read {task}"]
    assert str(CHECKOUT / "suite/engine/read.py") in loaded
    cohort = next(one for one in run.cohorts if one.task == task)
    assert missed(loaded, hashed_by(lambda: keys.of_cohort(run, cohort))) == []


@pytest.mark.parametrize(("task", "name"), PROTOCOLS)
def test_what_asking_imported_is_in_the_keys_of_split_and_audit(
    finished: SmallRun, run: Run, task: str, name: str
) -> None:
    loaded = finished.loaded()[f"ask {name}"]
    fitter = run.fitting[run.protocols[name].answered_by or name]

    def ask() -> None:
        keys.of_split(run, fitter)
        keys.of_audit(run, run.protocols[name])

    assert missed(loaded, hashed_by(ask)) == []


@pytest.mark.parametrize("stage", ["predict", "score"])
def test_the_engine_of_a_stage_is_in_the_key_of_each_of_its_cells(finished: SmallRun, run: Run, stage: str) -> None:
    """What hands jobs out also joins and writes down what they answer."""
    engine = [file for file in finished.loaded()[f"stage {stage}"] if file.startswith(str(CHECKOUT / "suite/engine"))]
    assert str(CHECKOUT / f"suite/engine/{stage}.py") in engine
    for protocol in run.fitting.values() if stage == "predict" else run.protocols.values():
        request = first_request(run, protocol.task)
        if stage == "predict":
            ask = partial(keys.of_fit, run, protocol, run.models_of(protocol.task)[0], request, 0)
        else:
            ask = partial(keys.of_score, run, protocol, request)
        assert missed(engine, hashed_by(ask)) == []


@pytest.mark.parametrize("task", TASKS)
def test_what_a_fit_imported_is_in_its_key(finished: SmallRun, run: Run, task: str) -> None:
    models = run.models_of(task)
    assert {entry.outside for entry in models} == {True, False}
    for protocol in [one for one in run.fitting.values() if one.task == task]:
        for entry in models:
            loaded = finished.loaded()[f"fit {protocol.name} {entry.name}"]
            hashed = hashed_by(partial(keys.of_fit, run, protocol, entry, first_request(run, task), 0))
            assert missed(loaded, hashed) == [], entry.name
            assert (str(finished.folder / task / "own.py") in loaded) == entry.outside, "and no other imports it"


@pytest.mark.parametrize("task", [name for name in TASKS if load_task(name).crops is not None])
def test_what_an_embedding_imported_is_in_its_key(finished: SmallRun, run: Run, task: str) -> None:
    encoder = next(entry.card.encoder for entry in run.models_of(task) if entry.card.encoder)
    request = first_request(run, task)

    def ask() -> None:
        keys.of_embedding(run, run.tasks[task], encoder, "", 0)
        if run.tasks[task].derive is not None:
            keys.of_derived(run.tasks[task], request)

    loaded = finished.loaded()[f"embed {task}"]
    assert missed(loaded, hashed_by(ask)) == []
    assert not [file for file in loaded if file.startswith(str(finished.folder))], "no adapter is where one embeds"


@pytest.mark.parametrize(("task", "name"), PROTOCOLS)
def test_what_a_score_imported_is_in_its_key(finished: SmallRun, run: Run, task: str, name: str) -> None:
    request = first_request(run, task)
    loaded = finished.loaded()[f"score {name}"]
    assert missed(loaded, hashed_by(lambda: keys.of_score(run, run.protocols[name], request))) == []
    assert not [file for file in loaded if file.startswith(str(finished.folder))], "no adapter is where one scores"


def test_what_a_report_loads_by_name_is_in_what_it_depends_on(run: Run) -> None:
    hashed = hashed_by(lambda: plan._report(run))
    for task in TASKS:
        notices = load_task(task).notices
        for module in [module_of(task_modules()[task]), *([notices.module] if notices else [])]:
            assert str(CHECKOUT / f"{module.replace('.', '/')}.py") in hashed
    assert all(load_protocol(name).task in TASKS for _, name in PROTOCOLS)
