"""The command line: what DVC calls, and what a person asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from protocols.errors import UserError
from suite.features_command import register as register_features
from suite.ihc.stain_command import stain_slide_command
from suite.signature_command import signature
from suite.stage_commands import Name, stage

if TYPE_CHECKING:
    from protocols.bulk_contract import BulkModel
    from protocols.image_contract import ImageModel
    from protocols.survival_contract import SurvivalModel

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Does a model really read molecules from an H&E slide? Protocols, models, evidence.",
)
app.add_typer(stage, name="stage")
app.command("stain-slide")(stain_slide_command)
app.command()(signature)
register_features(app)


@app.command()
def report() -> None:
    """Write the leaderboards again, with predictions handed in since."""
    from suite.config import read_config
    from suite.stages import report as stage_module

    typer.echo(f"page: {stage_module.run(read_config()).html}")


@app.command()
def leaderboards() -> None:
    """Print the leaderboards and the path of the page."""
    from reports.terminal import print_leaderboards
    from suite.config import read_config
    from suite.places import REPORTS, TIMINGS
    from suite.stages.report import cells

    config = read_config()
    print_leaderboards(cells(config), seed=config.seed, timings=TIMINGS, page=REPORTS / "index.html")


@app.command("list")
def list_known() -> None:
    """Protocols and models that can be named in params.yaml."""
    from baselines.registry import known_models, load_model_class
    from protocols import (
        BULK,
        EXPRESSION,
        IMAGE,
        SURVIVAL,
        load_bulk_protocol,
        load_image_protocol,
        load_protocol,
        load_survival_protocol,
    )

    questions = {name: load_protocol(name).question for name in EXPRESSION}
    questions |= {name: load_survival_protocol(name).question for name in SURVIVAL}
    questions |= {name: load_bulk_protocol(name).question for name in BULK}
    questions |= {name: load_image_protocol(name).question for name in IMAGE}
    typer.echo("protocols")
    for name, question in questions.items():
        typer.echo(f"  {name:<26}{question}")
    cards = [load_model_class(name, {}, Path.cwd()).card for name in sorted(known_models({}))]
    for task in ("expression", "survival", "bulk", "image"):
        typer.echo(f"models, {task}")
        for card in cards:
            if card.task == task:
                typer.echo(f"  {card.name:<26}{card.title} [{card.kind}]")


@app.command("new-model")
def new_model(
    name: Name,
    folder: Annotated[Path, typer.Option(help="where to put the file")] = Path(),
    task: Annotated[str, typer.Option(help="expression, survival, bulk or image")] = "expression",
) -> None:
    """Write the file that a new model starts from."""
    from suite.new_model import LISTS, write_new_model

    path = write_new_model(name, folder, task)
    class_name = "".join(word.capitalize() for word in name.split("_"))
    typer.echo(f"wrote {path}\nnext: slide2omics check {path}:{class_name}")
    typer.echo(
        f"then, in params.yaml: add {name} under {LISTS[task]}, "
        f"and under adapters `{name}: {path}:{class_name}`; dvc repro"
    )


@app.command()
def check(model: Annotated[str, typer.Argument(help="a listed or built-in name, or file.py:Class")]) -> None:
    """Run the contract tests on a model and say plainly what fails."""
    from baselines.registry import UNNAMED, load_model_class
    from suite.bulk_conformance import check_bulk_model
    from suite.config import PARAMS_FILE, read_config
    from suite.conformance import check_model
    from suite.ihc_conformance import check_image_model
    from suite.survival_conformance import check_survival_model

    adapters = dict(read_config().adapters) if PARAMS_FILE.exists() else {}
    if ":" in model or "@" in model:
        adapters[UNNAMED] = model
        model_class = load_model_class(UNNAMED, adapters, Path.cwd())
        name = model_class.card.name
    else:
        model_class, name = load_model_class(model, adapters, Path.cwd()), model
    failed = 0
    if model_class.card.task == "survival":
        results = check_survival_model(cast("type[SurvivalModel]", model_class), name)
    elif model_class.card.task == "bulk":
        results = check_bulk_model(cast("type[BulkModel]", model_class), name)
    elif model_class.card.task == "image":
        results = check_image_model(cast("type[ImageModel]", model_class), name)
    else:
        results = check_model(model_class, name)
    for result in results:
        failed += bool(result.problem)
        typer.echo(f"{'✗' if result.problem else '✓'} {result.check}")
        if result.problem:
            typer.echo(f"    {result.problem}")
    typer.echo(f"{name}: {f'{failed} contract tests fail' if failed else 'conforms'}")
    if failed:
        raise typer.Exit(1)


@app.command()
def score(
    protocol: Name,
    predictions: Annotated[Path, typer.Option(help="table of answers; `slide2omics units` says for whom")],
    model: Annotated[str | None, typer.Option(help="the name it gets on the leaderboard")] = None,
    note: Annotated[str, typer.Option(help="where the predictions come from")] = "",
) -> None:
    """Score predictions made elsewhere and put them on the leaderboard.

    Columns: slide, cell_id, one a gene (and fold). Of a survival protocol: cohort, fold, patient, risk, optional
    S(<months>), and model, if there are several. Of tcga_expression: cohort, fold (external cohorts: external), slide
    or patient, one a gene; of gbm_spatial: section, row, column, one a gene. Of ihc4bc a folder: <cohort>/<marker>/
    <tile>.png.
    """
    from protocols import task_of
    from suite.config import read_config

    if task_of(protocol) == "survival":
        from suite.survival.submissions import score_survival_submission

        records = score_survival_submission(read_config(), protocol, model, predictions, note)
        metric = "Harrell's C, mean of folds"
    elif task_of(protocol) == "bulk":
        from suite.bulk.submissions import score_bulk_submission

        records = score_bulk_submission(read_config(), protocol, model, predictions, note)
        metric = "Pearson of maps" if protocol == "gbm_spatial" else "Pearson per gene, mean of folds"
    elif model is None:
        raise UserError("no name", where="--model", expected="the model's name", remedy="give --model NAME")
    elif task_of(protocol) == "image":
        from suite.ihc.submissions import score_ihc_submission

        records = score_ihc_submission(read_config(), protocol, model, predictions, note)
        metric = "PSNR"
    else:
        from suite.submissions import score_submission

        records = [score_submission(read_config(), protocol, model, predictions, note)]
        metric = "Pearson per slide"
    for record in records:
        headline, board = record.headline, f" {record.board}" if record.board else ""
        interval = "" if headline.low is None else f" (95 % CI {headline.low:.3f} to {headline.high:.3f})"
        mean = "undefined" if headline.mean is None else f"{headline.mean:.3f}"
        typer.echo(f"{record.model} on {protocol}{board}: {metric} {mean}{interval}, {headline.n_patients} patients")
    typer.echo("`slide2omics report` puts it on the page")


@app.command()
def units(protocol: Name, out: Annotated[Path, typer.Option(help="CSV to write")]) -> None:
    """Write who is trained on and who must be predicted: fold, role, and slide, cell_id, x_px, y_px or patient.

    Of gbm_spatial: section, row, column, x_um, y_um. Of bulk protocols the genes go into OUT_genes.csv.
    """
    from suite.config import read_config
    from suite.export import write_units

    typer.echo(f"{write_units(read_config(), protocol, out)} rows in {out}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="folder to write")],
    profile: Annotated[str, typer.Option(help="mini or full")] = "mini",
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Simulate the phantoms (the default data, or larger ones) below OUT: phantom, phantom_tcga, _bulk and _ihc."""
    from protocols.phantom.bulk import generate_bulk
    from protocols.phantom.bulk_settings import bulk_preset
    from protocols.phantom.generate import generate
    from protocols.phantom.ihc import generate_ihc
    from protocols.phantom.ihc_settings import ihc_preset
    from protocols.phantom.settings import preset
    from protocols.phantom.tcga import generate_tcga
    from protocols.phantom.tcga_settings import tcga_preset

    generate(out / "phantom", preset(profile), seed, progress=typer.echo)
    generate_tcga(out / "phantom_tcga", tcga_preset(profile), seed, progress=typer.echo)
    generate_bulk(out / "phantom_bulk", bulk_preset(profile), seed, progress=typer.echo)
    generate_ihc(out / "phantom_ihc", ihc_preset(profile), seed, progress=typer.echo)


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
