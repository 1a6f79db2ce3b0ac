"""The stages of the pipeline as commands: what dvc.yaml calls."""

from __future__ import annotations

from typing import Annotated

import typer

stage = typer.Typer(no_args_is_help=True, help="One stage of the pipeline, as dvc.yaml calls it.")
Name = Annotated[str, typer.Argument()]


@stage.command("cohort")
def stage_cohort() -> None:
    """Read and check every slide of the cohort."""
    from suite.config import read_config
    from suite.stages import cohort

    store = cohort.run(read_config())
    typer.echo(
        f"{store.info.name}: {len(store.slides)} slides, {len(store)} {store.info.unit}s, {len(store.all_genes)} genes"
    )


@stage.command("inputs")
def stage_inputs() -> None:
    """Resolve the listed models and embed each encoder once."""
    from suite.config import read_config
    from suite.stages import inputs

    inputs.run(read_config())


@stage.command("split")
def stage_split(protocol: Name) -> None:
    """Write a protocol's folds."""
    from suite.config import read_config
    from suite.stages import split

    split.run(read_config(), protocol)


@stage.command("audit")
def stage_audit(protocol: Name) -> None:
    """Check a protocol's folds for leaks."""
    from suite.config import read_config
    from suite.stages import audit

    audit.run(read_config(), protocol)


@stage.command("patients")
def stage_patients(protocol: Name, cohort: Name) -> None:
    """Read one cohort of patients, make its folds and check them for leaks."""
    from suite.config import read_config
    from suite.stages import patients

    patients.run(read_config(), protocol, cohort)


@stage.command("bulk")
def stage_bulk(cohort: Name) -> None:
    """Read one cohort with bulk expression, tile its slides and make its folds."""
    from suite.config import read_config
    from suite.stages import bulk

    bulk.run(read_config(), cohort)


@stage.command("bulk_audit")
def stage_bulk_audit(protocol: Name) -> None:
    """Check the folds of all cohorts with bulk expression for leaks; of gbm_spatial, read the sections first."""
    from suite.config import read_config
    from suite.stages import bulk_audit

    bulk_audit.run(read_config(), protocol)


@stage.command("ihc")
def stage_ihc(cohort: Name) -> None:
    """Read one cohort of paired patches, make folds by patient and check them for leaks."""
    from suite.config import read_config
    from suite.stages import ihc

    ihc.run(read_config(), cohort)


@stage.command("predict")
def stage_predict(protocol: Name, model: Name) -> None:
    """Fit and predict one cell of the matrix."""
    from protocols import task_of
    from suite.config import read_config

    if task_of(protocol) == "survival":
        from suite.stages import survival_predict

        survival_predict.run(read_config(), protocol, model)
    elif task_of(protocol) == "bulk":
        from suite.stages import bulk_predict

        bulk_predict.run(read_config(), model)
    elif task_of(protocol) == "image":
        from suite.stages import ihc_predict

        ihc_predict.run(read_config(), model)
    else:
        from suite.stages import predict

        predict.run(read_config(), protocol, model)


@stage.command("score")
def stage_score(protocol: Name) -> None:
    """Score every listed model of a protocol."""
    from suite.config import read_config
    from suite.stages import score_protocol

    score_protocol.run(read_config(), protocol)


@stage.command("report")
def stage_report() -> None:
    """Write the leaderboards."""
    from suite.config import read_config
    from suite.stages import report

    typer.echo(f"page: {report.run(read_config()).html}")
