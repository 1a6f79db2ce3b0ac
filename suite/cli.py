"""The command line: what DVC calls, and what a person asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from protocols.errors import UserError
from suite.stage_commands import stage
from suite.tools.features_command import register as register_features
from suite.tools.niche_command import niches_command
from suite.tools.signature_command import signature
from suite.tools.stain_command import stain_slide_command
from suite.tools.virtual_codex_command import virtual_codex_command

Name = Annotated[str, typer.Argument()]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does a model really read molecules from an H&E slide? Protocols, models, evidence.",
)
app.add_typer(stage, name="stage")
app.command("stain-slide")(stain_slide_command)
app.command("virtual-codex")(virtual_codex_command)
app.command()(signature)
app.command("niches")(niches_command)
register_features(app)


@app.command()
def report() -> None:
    """Write the leaderboards of all that is scored so far, with predictions handed in, and say what is not there."""
    from suite.config import read_config
    from suite.engine.report import run_report
    from suite.engine.run import Run

    typer.echo(f"page: {run_report(Run(read_config())).html}")


@app.command()
def leaderboards() -> None:
    """Print the leaderboards and the path of the page."""
    from reports.terminal import print_leaderboards
    from suite.config import read_config
    from suite.engine.report import cells, contracts, missing, notices
    from suite.engine.run import Run
    from suite.places import REPORTS

    run = Run(read_config())
    print_leaderboards(
        cells(run),
        seed=run.config.seed,
        page=REPORTS / "index.html",
        missing=missing(run),
        task_notices=notices(run),
        contracts=contracts(run.config),
    )


@app.command("list")
def list_known() -> None:
    """Tasks, protocols, readers, encoders and models that a run's file can name."""
    from suite.listing import listing

    typer.echo("\n".join(listing()))


@app.command("new-model")
def new_model(
    name: Name,
    folder: Annotated[Path, typer.Option(help="where to put the file")] = Path(),
    task: Annotated[
        str, typer.Option(help="the task whose protocols it answers; see `slide2omics list`")
    ] = "expression",
) -> None:
    """Write the file that a new model starts from."""
    from suite.new_model import write_new_model

    path = write_new_model(name, folder, task)
    class_name = "".join(word.capitalize() for word in name.split("_"))
    typer.echo(f"wrote {path}\nnext: slide2omics check {path}:{class_name}")
    typer.echo(
        f"then, in params.yaml: add {name} under models, and under adapters `{name}: {path}:{class_name}`; dvc repro"
    )


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="a listed or built-in name, or file.py:Class")],
    learning: Annotated[bool, typer.Option(help="train it on a planted signal, too, by its mini schedule")] = False,
) -> None:
    """Run the contract tests on a model and say plainly what fails."""
    from suite.config import PARAMS_FILE, read_config
    from suite.engine.conformance import check as contract_checks

    failed = 0
    for result in contract_checks(model, read_config() if PARAMS_FILE.exists() else None):
        failed += bool(result.problem)
        typer.echo(f"{'✗' if result.problem else '✓'} {result.check}{f': {result.said}' if result.said else ''}")
        if result.problem:
            typer.echo(f"    {result.problem}")
    typer.echo(f"{model}: {f'{failed} contract tests fail' if failed else 'conforms'}")
    learns = True
    if learning:
        from suite.engine.learning import gate_of, told

        found = gate_of(model, read_config() if PARAMS_FILE.exists() else None)
        learns = not found.problem
        typer.echo(f"{'✓' if learns else '✗'} {told(found)}")
    if failed or not learns:
        raise typer.Exit(1)


@app.command()
def score(
    protocol: Name,
    predictions: Annotated[Path, typer.Option(help="table (or folder) of answers; `slide2omics units` says for whom")],
    model: Annotated[str | None, typer.Option(help="the name it gets on the leaderboard")] = None,
    note: Annotated[str, typer.Option(help="where the predictions come from")] = "",
) -> None:
    """Score predictions made elsewhere, say where they would stand, and put them on the leaderboard.

    Nothing is trained but the controls. Columns: of expression slide, cell_id, one a gene (and fold; and cohort, if
    there are several); of survival cohort, fold, patient, risk, optional S(<months>); of tcga_expression cohort, fold
    (external cohorts: external), slide or patient, one a gene; of gbm_spatial section, row, column, one a gene; of
    ihc4bc a folder: <cohort>/<marker>/<tile>.png. A column model, if there are several.
    """
    from suite.config import read_config
    from suite.score_command import score_predictions

    for line in score_predictions(read_config(), protocol, predictions, model, note):
        typer.echo(line)
    typer.echo("`slide2omics report` puts it on the page")


@app.command()
def compare(
    one: Annotated[str, typer.Argument(metavar="A", help="a scored model or submission")],
    other: Annotated[str, typer.Argument(metavar="B", help="another")],
) -> None:
    """Compare two models on every board that has both: paired by patient and by gene."""
    from suite.compare_command import compared
    from suite.config import read_config

    for line in compared(read_config(), one, other):
        typer.echo(line)


@app.command()
def units(protocol: Name, out: Annotated[Path, typer.Option(help="CSV to write")]) -> None:
    """Write who is trained on and who must be predicted, one row a unit and fold; genes go into OUT_genes.csv."""
    from suite.config import read_config
    from suite.engine.prepare import prepare
    from suite.engine.units import write_units

    run = prepare(read_config(), protocol)
    asked = next(iter(run.protocols.values()))
    typer.echo(f"{write_units(run, asked, out)} rows in {out}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="folder to write")],
    profile: Annotated[str, typer.Option(help="mini or full")] = "mini",
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Simulate the phantoms (the default data, or larger) below OUT: phantom, phantom_tcga, _bulk, _ihc and _codex."""
    from protocols.phantom.bulk import generate_bulk
    from protocols.phantom.bulk_settings import bulk_preset
    from protocols.phantom.generate import generate
    from protocols.phantom.ihc import generate_ihc
    from protocols.phantom.ihc_settings import ihc_preset
    from protocols.phantom.protein import generate_protein
    from protocols.phantom.protein_settings import protein_preset
    from protocols.phantom.settings import preset
    from protocols.phantom.tcga import generate_tcga
    from protocols.phantom.tcga_settings import tcga_preset

    generate(out / "phantom", preset(profile), seed, progress=typer.echo)
    generate_tcga(out / "phantom_tcga", tcga_preset(profile), seed, progress=typer.echo)
    generate_bulk(out / "phantom_bulk", bulk_preset(profile), seed, progress=typer.echo)
    generate_ihc(out / "phantom_ihc", ihc_preset(profile), seed, progress=typer.echo)
    generate_protein(out / "phantom_codex", protein_preset(profile), seed, progress=typer.echo)


def main() -> None:
    """Entry point: a user's mistake is one line and status 2; Ctrl-C is status 130."""
    status: object = 0
    try:
        app()
    except SystemExit as stop:
        status = stop.code
    except UserError as error:
        print(f"slide2omics: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("slide2omics: interrupted; what was finished is kept, the same command goes on", file=sys.stderr)
        status = 130
    _leave(status if isinstance(status, int) else int(status is not None))


def _leave(status: int) -> NoReturn:
    """End the process without tearing the interpreter down.

    On a busy machine a worker thread of pyarrow can outlive the interpreter, and the C++ runtime then aborts a command
    that has written all it had to ("terminate called without an active exception").
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
