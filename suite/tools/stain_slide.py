"""A fitted virtual-staining model over a whole slide, as ``slide2omics stain-slide`` runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.contract import CropArray, FloatArray, RowArray, Settings, TextArray
from protocols.errors import UserError
from protocols.images.image import open_image
from protocols.staining.contract import StainingModel
from suite.tools.large_field import FieldReport, Predict, generate_field


def stain_slide(
    slide: Path,
    model: StainingModel,
    out: Path,
    *,
    marker: str,
    tile_px: int,
    mpp_model: float,
    overlap_px: int | None = None,
    batch: int = 16,
    settings: Settings | None = None,
    embed: Callable[[CropArray], FloatArray] | None = None,
    blending: str = "cosine",
    tissue_rule: str = "saturation",
    mpp: float | None = None,
    compression: str = "jpeg",
    quality: int = 90,
) -> FieldReport:
    """Stain a slide with a fitted model, as ``slide2omics stain-slide`` does; see :func:`generate_field`.

    ``overlap_px`` None is a quarter of the window. ``embed`` answers for models whose card names an encoder.
    """
    predict = model_predict(model, marker=marker, settings=settings or Settings(), embed=embed)
    with open_image(slide) as image:
        return generate_field(
            image,
            predict,
            out=out,
            tile_px=tile_px,
            overlap_px=tile_px // 4 if overlap_px is None else overlap_px,
            mpp_model=mpp_model,
            batch=batch,
            blending=blending,
            tissue_rule=tissue_rule,
            mpp=mpp,
            compression=compression,
            quality=quality,
        )


@dataclass(frozen=True, eq=False)
class _Windows:
    """A batch of windows as a model's :class:`protocols.staining.contract.PatchInputs`."""

    windows: CropArray
    marker: str
    settings: Settings
    embed: Callable[[CropArray], FloatArray] | None

    @property
    def patch(self) -> TextArray:
        return np.array([f"window{n}" for n in range(len(self))])

    @property
    def patient(self) -> TextArray:
        return np.array(["slide"] * len(self))

    @property
    def pixels(self) -> int:
        return int(self.windows.shape[1])

    def __len__(self) -> int:
        return len(self.windows)

    def he(self, rows: RowArray) -> CropArray:
        return self.windows[rows]

    def embedding(self, rows: RowArray) -> FloatArray:
        if self.embed is None:
            raise UserError(
                "no encoder was given", where="staining a slide", expected="the card's encoder", remedy="pass embed"
            )
        return self.embed(self.windows[rows])

    def oracle(self, rows: RowArray) -> CropArray:
        raise UserError(
            "a slide has no true stain", where=f"{len(rows)} windows", expected="a model", remedy="choose no oracle"
        )


def model_predict(
    model: StainingModel,
    *,
    marker: str,
    settings: Settings,
    embed: Callable[[CropArray], FloatArray] | None = None,
) -> Predict:
    """A fitted model as a function of windows."""

    def predict(windows: CropArray) -> CropArray:
        return model.predict(_Windows(windows, marker, settings, embed), np.arange(len(windows), dtype=np.int64))

    return predict
