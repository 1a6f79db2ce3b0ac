"""``slide2omics virtual-codex``: a model fitted on a cohort of proteins draws every marker of a whole H&E slide."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protocols.errors import UserError
from suite.tools.fitted import cohort_to_fit_on, model_for_slides, run_of, workspace_of

if TYPE_CHECKING:
    from protocols.contract import FloatArray, Inputs
    from protocols.expression.store import CohortStore
    from protocols.task import Opened
    from suite.config import Config
    from suite.engine.run import ModelEntry
    from suite.tools.virtual_codex import CodexReport

TASK, PROTOCOL = "expression", "codex_protein"


def virtual_codex_command(
    slide: Annotated[Path, typer.Argument(help="H&E slide: SVS, TIFF, OME-TIFF and what else OpenSlide reads")],
    model: Annotated[str, typer.Option(help="a built-in, or an adapter of params.yaml, of the task expression")],
    cohort: Annotated[str, typer.Option(help="cohort of proteins to fit on, of params.yaml")],
    out: Annotated[Path, typer.Option(help="pyramid to write, ending in .ome.tif")],
    predictions: Annotated[Path | None, typer.Option(help="HEX's .h5 to write: codex_prediction, coords")] = None,
    bag: Annotated[Path | None, typer.Option(help=".h5 of a DINOv2 token a marker to write")] = None,
    tissue: Annotated[str, typer.Option(help="tissue rule; glass is 0 in every channel")] = "saturation",
    mpp: Annotated[float | None, typer.Option(help="micrometres a pixel, where the slide does not say")] = None,
) -> None:
    """Draw every marker of a whole H&E slide with a model fitted on all units of a cohort of proteins."""
    from threadpoolctl import threadpool_limits

    from suite.config import read_config
    from suite.tools.token_bag import ENCODER as TOKEN_ENCODER
    from suite.tools.virtual_codex import draw_codex

    config = read_config()
    opened = cohort_of_proteins(config, cohort)
    entry = model_for_slides(config, TASK, model)
    fitted = FittedWhenAsked(config, opened, entry)
    with threadpool_limits(config.settings_of(entry.card).threads):
        asked = asked_of(config, opened, entry)
        report = draw_codex(
            slide, fitted, out, asked, tissue=tissue, mpp=mpp, predictions=predictions, bag=bag,
            bag_settings=config.settings(TOKEN_ENCODER),
        )  # fmt: skip
    for line in told(report, fitted.seconds):
        typer.echo(line)


class FittedWhenAsked:
    """A model that is fitted at the first tile: whatever is wrong with slide or options shows before the training."""

    def __init__(self, config: Config, opened: Opened, entry: ModelEntry) -> None:
        self.seconds, self._of = 0.0, (config, opened, entry)
        self._model: Any = None

    def predict(self, test: Inputs) -> FloatArray:
        if self._model is None:
            start = time.monotonic()
            self._model = fit_on_all(*self._of)
            self.seconds = time.monotonic() - start
        answer: FloatArray = self._model.predict(test)
        return answer


def cohort_of_proteins(config: Config, cohort: str) -> Opened:
    """The cohort, read if it was not; one of counts is refused."""
    found = cohort_to_fit_on(config, TASK, cohort, "cohort of proteins")
    if found.store.measure.of != "intensities":
        raise UserError(
            f"cohort {cohort} has counts of genes", where="--cohort", expected="a cohort of proteins",
            remedy="name one whose reader gives intensities (docs/cohorts.md)",
        )  # fmt: skip
    return found


def asked_of(config: Config, opened: Opened, entry: ModelEntry) -> Any:
    """What the fitted model can be asked about a slide: as the cohort's units, so the slide's tiles."""
    from suite.tools.virtual_codex import Asked

    store: CohortStore = opened.store
    return Asked(
        markers=store.all_genes,
        um=store.info.crop_um,
        pixels=store.info.crop_pixels,
        settings=config.settings_of(entry.card),
        encoder=entry.card.encoder,
        field=opened.settings.crop.field,
    )


def fit_on_all(config: Config, opened: Opened, entry: ModelEntry) -> Any:
    """The model, fitted on every unit of the cohort; none is kept back, so no score belongs to it."""
    from baselines.registry import load_model_class
    from protocols.contract import Pretrains
    from protocols.expression.view_makers import CELLS, ViewMaker, cohort_crops
    from suite.engine.inputs import run_inputs

    store: CohortStore = opened.store
    if "counts" in entry.card.needs:
        raise UserError(
            f"{entry.name} learns from counts", where="--model", expected="a model that learns from intensities",
            remedy="choose another; see `slide2omics list`",
        )  # fmt: skip
    embedding = None
    if entry.card.encoder:
        alone = config.model_copy(update={"cohorts": {TASK: {opened.name: config.cohorts[TASK][opened.name]}}})
        made = run_inputs(run_of(alone, TASK, (entry.name,), PROTOCOL))[
            TASK, opened.name, entry.card.encoder, config.seed
        ]
        embedding = made.features().embeddings[CELLS]
    workspace = workspace_of(config, "virtual_codex", __name__, opened, entry)
    workspace.mkdir(parents=True, exist_ok=True)
    crops = cohort_crops(store, opened.entry.root)
    views = ViewMaker(store, config.settings_of(entry.card), crops, embedding, None, workspace)
    rows = store.rows_of(store.slides)
    patients = len({slide.patient for slide in store.slides if slide.patient})
    typer.echo(f"{entry.name}: fitting on {len(rows)} {store.info.unit}s of {patients} patients, cohort {opened.name}")
    model: Any = load_model_class(entry.name, config.adapters, Path.cwd())()
    train = views.training(rows, store.all_genes)
    if isinstance(model, Pretrains):
        model.pretrain(train)
    model.fit(train)
    return model


def told(report: CodexReport, fitting: float) -> list[str]:
    """What was drawn, how much of it is glass, what lies outside [0, 1], and what it took."""
    from suite.workers import peak_memory_mib

    asking = report.seconds - fitting
    rate = report.tiles / asking if asking > 0 else 0.0
    return [
        f"wrote {report.out}: {report.markers} markers and tissue, {report.columns} × {report.rows} tiles, "
        f"{report.bytes:,} bytes",
        f"tiles: {report.tiles} of tissue, {report.glass} of glass (0 in every channel)",
        f"answers outside [0, 1]: {report.outside} of {report.tiles * report.markers}",
        f"{fitting:.1f} s fitting, {asking:.1f} s drawing ({rate:.1f} tiles a second), "
        f"peak memory {peak_memory_mib()} MiB",
    ]
