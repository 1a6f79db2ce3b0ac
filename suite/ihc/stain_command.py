"""``slide2omics stain-slide``: a model fitted on all pairs of a cohort's marker draws the IHC of a whole H&E slide."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from protocols.errors import UserError, look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.contract import Card, CropArray, FloatArray, RowArray, Settings
    from protocols.ihc.store import IhcStore
    from protocols.image_contract import ImageModel, PatchInputs
    from suite.config import Config
    from suite.ihc.large_field import FieldReport


def stain_slide_command(
    slide: Annotated[Path, typer.Argument(help="H&E slide: SVS, TIFF, OME-TIFF and what else OpenSlide reads")],
    model: Annotated[str, typer.Option(help="a built-in, or an adapter of params.yaml, of the task image")],
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
    from suite.ihc.stain_slide import stain_slide

    config = read_config()
    store = fitted_cohort(config, cohort, marker)
    model_class = image_model_class(config, model)
    settings = _settings(config, model, model_class.card)
    fitted = FittedWhenAsked(lambda: fit_on_all(config, store, marker, model, model_class))
    with threadpool_limits(settings.threads):
        report = stain_slide(
            slide,
            cast("ImageModel", fitted),
            out,
            marker=marker,
            tile_px=store.tile.pixels,
            mpp_model=model_mpp(config, store),
            overlap_px=overlap,
            batch=batch,
            settings=settings,
            embed=window_embedder(model_class.card.encoder, settings) if model_class.card.encoder else None,
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

    def __init__(self, fit: Callable[[], ImageModel]) -> None:
        self.seconds, self._fit = 0.0, fit
        self._model: ImageModel | None = None

    def predict(self, test: PatchInputs, rows: RowArray) -> CropArray:
        if self._model is None:
            start = time.monotonic()
            self._model = self._fit()
            self.seconds = time.monotonic() - start
        return self._model.predict(test, rows)


def fitted_cohort(config: Config, cohort: str, marker: str) -> IhcStore:
    """The stored cohort, or one line that says how to make it."""
    from protocols.ihc.store import COHORT_FILE
    from suite.ihc.cohorts import ihc_config, stored
    from suite.places import IHC

    ihc_config(config, cohort)  # an unknown name gets the nearest one
    if not (IHC / cohort / COHORT_FILE).exists():
        raise UserError(
            "the cohort has not been read",
            where=IHC / cohort,
            expected="its patches",
            remedy=f"run `dvc repro ihc@{cohort}`",
        )
    store = stored(config, cohort)
    look_up(marker, dict.fromkeys(store.markers), kind="marker", where=f"cohort {cohort}")
    return store


def image_model_class(config: Config, name: str) -> Any:
    """A model's class, if it can stain a slide."""
    from baselines.registry import load_model_class

    model_class: Any = load_model_class(name, config.adapters, Path.cwd())
    card = model_class.card
    if card.task != "image":
        raise UserError(
            f"{name} answers the task {card.task!r}", where="--model", expected="a model of the task 'image'",
            remedy="see `slide2omics list`",
        )  # fmt: skip
    if "oracle" in card.needs:
        raise UserError(
            f"{name} knows the truth, and a slide has none", where="--model", expected="a model",
            remedy="choose no oracle",
        )  # fmt: skip
    return model_class


def model_mpp(config: Config, store: IhcStore) -> float:
    """Micrometres a pixel of the tiles a model is fitted on: a tile may be shrunk from more pixels of its patch."""
    from suite.ihc.cohorts import ihc_config

    return ihc_config(config, store.name).mpp * store.tile.source / store.tile.pixels


def fit_on_all(config: Config, store: IhcStore, marker: str, name: str, model_class: Any) -> Any:
    """The model, fitted on every pair of a marker; none is kept back, so no score belongs to it.

    What it leaves in its workspace stays: a killed run goes on, and the next slide need not train again.
    """
    import numpy as np

    from protocols.ihc.views import training_view
    from suite.ihc.cohorts import Board, ihc_config
    from suite.ihc.embeddings import embed_patches, embedding_reader

    rows, none = store.rows_of(marker), np.zeros(0, dtype=np.int64)
    settings, encoder, reader = _settings(config, name, model_class.card), model_class.card.encoder, None
    if encoder:
        entry = ihc_config(config, store.name).model_copy(update={"markers": [marker]})
        alone = config.ihc.model_copy(update={"cohorts": {store.name: entry}})
        board = Board(store.name, marker)
        notes = embed_patches(config.model_copy(update={"ihc": alone}), [encoder])
        reader = embedding_reader(config, board, Path(notes[board.name, encoder]["file"]), rows)
    workspace = _workspace(store, marker, name, model_class, settings)
    workspace.mkdir(parents=True, exist_ok=True)
    patients = len(set(store.patient[rows].tolist()) - {""})
    typer.echo(f"{name}: fitting on {len(rows)} pairs of {patients} patients, {store.name} {marker}")
    model = model_class()
    model.fit(training_view(store, marker, rows, none, settings, workspace=workspace, embedding_reader=reader))
    return model


def _workspace(store: IhcStore, marker: str, name: str, model_class: Any, settings: Settings) -> Path:
    """A folder named by everything that the fitted model depends on, its own sources included."""
    from dataclasses import asdict

    from baselines.registry import source_closure
    from protocols.files import sha256_of
    from suite.places import UNFINISHED

    sources = [sha256_of(path) for path in source_closure(model_class)]
    key = json.dumps([store.hash, marker, name, asdict(settings), sources], sort_keys=True)
    return UNFINISHED / f"stain_slide-{store.name}_{marker}-{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _settings(config: Config, name: str, card: Card) -> Settings:
    from suite.stages.inputs import weight_parts

    return config.settings(*weight_parts(name, card))


def window_embedder(encoder: str, settings: Settings) -> Callable[[CropArray], FloatArray]:
    """Embeds windows as :func:`baselines.encoders.embedding.embed` embeds patches; the encoder is loaded once,
    when first needed."""
    from dataclasses import replace

    import torch

    from baselines.encoders.inputs import central, to_input
    from baselines.encoders.loading import load_encoder
    from baselines.encoders.table import encoder_spec
    from baselines.torch_run import torch_run

    spec = encoder_spec(encoder)
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
            features = loaded[0](to_input(central(windows, size.view), size.pixels, spec.normalisation, device))
        found: FloatArray = features.float().cpu().numpy()
        return found

    return embedded


def told(report: FieldReport, fitting: float) -> list[str]:
    """What was made, where no tissue was, whether the windows' borders can be seen, and what it took."""
    from protocols.cohorts.image import open_image
    from suite.ihc.large_field import field_seams
    from suite.stages.predict import peak_memory_mib

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
