"""``slide2omics stain-slide``: a model fitted on all pairs of a cohort's marker draws the IHC of a whole H&E slide."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from protocols.errors import look_up
from suite.tools.fitted import cohort_to_fit_on, model_for_slides, run_of, workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.contract import CropArray, FloatArray, RowArray, Settings
    from protocols.staining.contract import PatchInputs, StainingModel
    from protocols.staining.store import IhcStore
    from protocols.task import Opened
    from suite.config import Config
    from suite.engine.run import ModelEntry
    from suite.tools.large_field import FieldReport

TASK = "staining"


def stain_slide_command(
    slide: Annotated[Path, typer.Argument(help="H&E slide: SVS, TIFF, OME-TIFF and what else OpenSlide reads")],
    model: Annotated[str, typer.Option(help="a built-in, or an adapter of params.yaml, of the task staining")],
    cohort: Annotated[str, typer.Option(help="cohort of paired patches to fit on, of params.yaml")],
    marker: Annotated[str, typer.Option(help="ER, PR, Ki67 or HER2")],
    out: Annotated[Path, typer.Option(help="pyramid to write, ending in .ome.tif")],
    overlap: Annotated[int | None, typer.Option(min=0, help="pixels two windows share; a quarter of one")] = None,
    batch: Annotated[int, typer.Option(min=1, help="windows at a time")] = 16,
    blending: Annotated[str, typer.Option(help="cosine or none")] = "cosine",
    tissue: Annotated[str, typer.Option(help="tissue rule; windows without tissue stay white")] = "saturation",
    mpp: Annotated[float | None, typer.Option(help="micrometres a pixel, where the slide does not say")] = None,
    compression: Annotated[str, typer.Option(help="jpeg, or deflate without loss")] = "jpeg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="of JPEG")] = 90,
) -> None:
    """Draw the IHC of a whole H&E slide with a model fitted on all pairs of a cohort's marker."""
    from threadpoolctl import threadpool_limits

    from suite.config import read_config
    from suite.tools.stain_slide import stain_slide

    config = read_config()
    opened = fitted_cohort(config, cohort, marker)
    entry = model_for_slides(config, TASK, model)
    settings = config.settings_of(entry.card)
    fitted = FittedWhenAsked(lambda: fit_on_all(config, opened, marker, entry))
    with threadpool_limits(settings.threads):
        report = stain_slide(
            slide,
            cast("StainingModel", fitted),
            out,
            marker=marker,
            tile_px=opened.store.tile.pixels,
            mpp_model=opened.entry.mpp * opened.settings.downscale,
            overlap_px=overlap,
            batch=batch,
            settings=settings,
            embed=window_embedder(entry.card.encoder, settings) if entry.card.encoder else None,
            blending=blending,
            tissue_rule=tissue,
            mpp=mpp,
            compression=compression,
            quality=quality,
        )
    for line in told(report, fitted.seconds):
        typer.echo(line)


class FittedWhenAsked:
    """A model that is fitted at the first window: whatever is wrong with slide or options shows before the training."""

    def __init__(self, fit: Callable[[], StainingModel]) -> None:
        self.seconds, self._fit = 0.0, fit
        self._model: StainingModel | None = None

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        if self._model is None:
            start = time.monotonic()
            self._model = self._fit()
            self.seconds = time.monotonic() - start
        return self._model.predict(test, rows)


def fitted_cohort(config: Config, cohort: str, marker: str) -> Opened:
    """The cohort, read if it was not."""
    found = cohort_to_fit_on(config, TASK, cohort, "cohort of paired patches")
    look_up(marker, dict.fromkeys(found.store.markers), kind="marker", where=f"cohort {cohort}")
    return found


def fit_on_all(config: Config, opened: Opened, marker: str, entry: ModelEntry) -> Any:
    """The model, fitted on every pair of a marker; none is kept back, so no score belongs to it.

    What it leaves in its workspace stays: a killed run goes on, and the next slide need not train again.
    """
    import numpy as np

    from baselines.registry import load_model_class
    from protocols.staining.tile_crops import embedding_reader
    from protocols.staining.views import training_view
    from suite.engine.inputs import run_inputs

    store: IhcStore = opened.store
    rows, none = store.rows_of(marker), np.zeros(0, dtype=np.int64)
    settings, reader = config.settings_of(entry.card), None
    if entry.card.encoder:
        made = run_inputs(run_of(config, TASK, (entry.name,)))[TASK, opened.name, entry.card.encoder, config.seed]
        reader = embedding_reader(store, marker, made.features().embeddings[marker], rows)
    workspace = workspace_of(config, "stain_slide", __name__, opened, entry, marker)
    workspace.mkdir(parents=True, exist_ok=True)
    patients = len(set(store.patient[rows].tolist()) - {""})
    typer.echo(f"{entry.name}: fitting on {len(rows)} pairs of {patients} patients, {store.name} {marker}")
    model: Any = load_model_class(entry.name, config.adapters, Path.cwd())()
    model.fit(training_view(store, marker, rows, none, settings, workspace=workspace, embedding_reader=reader))
    return model


def window_embedder(encoder: str, settings: Settings) -> Callable[[CropArray], FloatArray]:
    """Embeds windows as :func:`baselines.encoders.embedding.embed` embeds patches; the encoder is loaded once,
    when first needed."""
    from dataclasses import replace

    import torch

    from baselines.encoders.embedding import central, prepared
    from baselines.encoders.entries import encoder_spec
    from baselines.encoders.weights import load_encoder
    from baselines.training.torch_run import torch_run

    spec = encoder_spec(encoder, settings)
    size = replace(spec.size(settings.profile), view=1.0)
    loaded: list[torch.nn.Module] = []  # at the first window: training may hold another copy until then

    def embedded(windows: CropArray) -> FloatArray:
        with (
            torch_run(settings) as device,
            torch.inference_mode(),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"),
        ):
            if not loaded:
                loaded.append(load_encoder(encoder, settings)[0].to(device))
            features = loaded[0](prepared(central(windows, size.view), size, spec, device))
        found: FloatArray = features.float().cpu().numpy()
        return found

    return embedded


def told(report: FieldReport, fitting: float) -> list[str]:
    """What was made, where no tissue was, whether the windows' borders can be seen, and what it took."""
    from protocols.images.image import open_image
    from suite.tools.large_field import field_seams
    from suite.workers import peak_memory_mib

    with open_image(report.out) as image:
        seams = field_seams(image, report)
    ratio = "undefined" if seams.ratio is None else f"{seams.ratio:.3f}"
    error = "" if seams.standard_error is None else f" ± {seams.standard_error:.3f}"
    return [
        f"wrote {report.out}: {report.width} × {report.height} px, {report.mpp:.3g} µm a pixel, {report.bytes:,} bytes",
        f"windows: {report.predicted} of {report.windows} drawn, {report.glass} glass; {report.tile_px} px, "
        f"{report.overlap_px} shared, blending {report.blending}",
        f"seams: gradient across windows' borders / elsewhere {ratio}{error} (1: invisible)",
        f"{fitting:.1f} s fitting, {report.seconds - fitting:.1f} s staining, peak memory {peak_memory_mib()} MiB",
    ]
