"""Nuclei of an H&E or IHC image as a label image, and what each of them holds.

The built-in method is classical: nuclear stain by colour deconvolution, smoothing, a threshold, the distance transform,
and a watershed from its peaks; lengths in µm, so one setting fits every scanner. It finds round, well-stained nuclei,
and splits touching ones; clumped, pale or vesicular nuclei are what StarDist (Schmidt et al. 2018; PAST's choice) does
better. :func:`segment_stardist` uses it where it is installed and its weights lie at hand.

Label images are int32 ``(h, w)``: 0 background, nuclei 1 to m without a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.stain import H_DAB, H_EOSIN, WHITE_LEVEL, White, stain_densities

Float = NDArray[np.float64]
Labels = NDArray[np.int32]
Image = Literal["he", "ihc", "ihc, haematoxylin alone"]
"""Which image it is, hence what shows a nucleus. A positive nucleus of a nuclear marker is brown and hides its
haematoxylin, so on IHC both stains count; haematoxylin alone is for markers of cytoplasm or membrane."""

STARDIST_MPP = 0.25
"""Resolution at which StarDist's H&E model was trained, µm per pixel."""
STARDIST_WEIGHTS = "weights_best.h5"


@dataclass(frozen=True)
class WatershedSettings:
    """Lengths in µm, areas in µm², stain in log10 OD."""

    smoothing_um: float = 0.5
    threshold: Literal["otsu", "local"] = "otsu"
    """Otsu's over the image; or the Gaussian-weighted mean of a block, for uneven background."""
    local_block_um: float = 30.0
    minimum_od: float = 0.08
    """No threshold goes below this: an image without nuclei has none."""
    saturation_od: float = 0.3
    """Of an IHC, stain beyond this is cut before thresholding; else brown nuclei would lift the threshold over blue."""
    opening_um: float = 0.5
    """Radius of the disc that removes threads and separates slight touches."""
    rim: float = 0.6
    """A nucleus ends where its stain falls below this share of its own mean: one threshold for all would leave strong
    nuclei with a blurred rim that dilutes what is measured in them; 0 leaves it on."""
    separation_um: float = 3.0
    """Peaks of the distance transform nearer than this are one nucleus."""
    minimum_area_um2: float = 15.0
    maximum_area_um2: float = 300.0


def segment_watershed(
    rgb: NDArray[np.uint8],
    mpp: float,
    *,
    image: Image = "he",
    settings: WatershedSettings | None = None,
    white: White = WHITE_LEVEL,
) -> Labels:
    """Nuclei of uint8 RGB ``(h, w, 3)`` at ``mpp`` µm per pixel, int32 ``(h, w)``; all 0 where there are none."""
    _check_mpp(mpp, rgb)
    settings = settings or WatershedSettings()
    morphology, feature, segmentation = (
        import_module(f"skimage.{name}") for name in ("morphology", "feature", "segmentation")
    )
    from scipy import ndimage

    whole = nuclear_stain(rgb, image, white)
    whole, stain = (
        ndimage.gaussian_filter(map_, settings.smoothing_um / mpp, mode="nearest")
        for map_ in (whole, whole if image == "he" else np.minimum(whole, settings.saturation_od))
    )
    inside = ndimage.binary_fill_holes(stain > _threshold(stain, mpp, settings))
    inside = ndimage.binary_opening(inside, morphology.disk(round(settings.opening_um / mpp)))
    if not inside.any():
        return np.zeros(rgb.shape[:2], dtype=np.int32)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), settings.smoothing_um / mpp)
    apart = max(1, round(settings.separation_um / mpp))
    peaks = feature.peak_local_max(depth, min_distance=apart, labels=inside.astype(np.int32), exclude_border=False)
    seeds = np.zeros(inside.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    found = segmentation.watershed(-depth, seeds, mask=inside)
    own = np.concatenate([[0.0], mean_per_nucleus(found, whole)])
    found[whole < settings.rim * own[found]] = 0
    return of_size(found, mpp, settings.minimum_area_um2, settings.maximum_area_um2)


def segment_stardist(rgb: NDArray[np.uint8], mpp: float, *, weights: Path) -> Labels:
    """Nuclei by StarDist's 2D model in the folder ``weights``, such as ``2D_versatile_he``; nothing is downloaded."""
    _check_mpp(mpp, rgb)
    try:
        models: Any = import_module("stardist.models")
    except ImportError:
        raise UserError(
            "StarDist is not installed",
            where="the segmentation of nuclei",
            expected="the packages of the extra 'stardist'",
            remedy="pip install 'slide2omics[stardist]', or take the built-in watershed",
        ) from None
    if not (weights / STARDIST_WEIGHTS).is_file():
        raise UserError(
            f"no {STARDIST_WEIGHTS}",
            where=weights,
            expected="a StarDist2D model folder",
            remedy="unpack the model there",
        )
    model = models.StarDist2D(None, name=weights.name, basedir=str(weights.parent))
    low, high = np.percentile(rgb, (1, 99.8))  # the normalisation its H&E model was trained with
    normal = ((rgb - low) / max(high - low, 1e-6)).astype(np.float32)
    labels, _ = model.predict_instances(normal, scale=mpp / STARDIST_MPP)
    return _without_gaps(np.asarray(labels, dtype=np.int32))


def nuclear_stain(rgb: NDArray[np.uint8], image: Image = "he", white: White = WHITE_LEVEL) -> Float:
    """Stain that shows nuclei, log10 OD, float64 ``(h, w)``, not below 0."""
    if image == "he":
        return np.maximum(stain_densities(rgb, H_EOSIN, white)[..., 0], 0.0)
    densities = np.maximum(stain_densities(rgb, H_DAB, white), 0.0)
    density: Float = densities[..., 0] + densities[..., 1] if image == "ihc" else densities[..., 0]
    return density


def count(labels: Labels) -> int:
    """Number of nuclei."""
    return int(labels.max(initial=0))


def areas_um2(labels: Labels, mpp: float) -> Float:
    """Area of each nucleus, float64 ``(m,)``."""
    area: Float = np.bincount(labels.ravel(), minlength=1)[1:] * np.float64(mpp**2)
    return area


def mean_per_nucleus(labels: Labels, values: NDArray[Any]) -> Float:
    """Mean of ``values (h, w)`` over each nucleus, float64 ``(m,)`` in order of the labels."""
    if labels.shape != values.shape:
        raise UserError(
            f"labels {labels.shape} for an image {values.shape}",
            where="the means of nuclei",
            expected="one size",
            remedy="segment the image that is measured, or one registered to it",
        )
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=1)[1:]
    if (pixels == 0).any():
        raise UserError(
            "a label without a pixel", where="the means of nuclei", expected="labels 1 to m", remedy="relabel the image"
        )
    means: Float = np.bincount(flat, values.ravel().astype(np.float64), minlength=1)[1:] / pixels
    return means


def of_size(labels: Labels, mpp: float, minimum_um2: float, maximum_um2: float) -> Labels:
    """The nuclei within the limits (both inclusive), numbered anew in their order."""
    area = np.bincount(labels.ravel(), minlength=1) * mpp**2
    kept = (area >= minimum_um2) & (area <= maximum_um2)
    kept[0] = False
    return _numbered(labels, kept)


def _without_gaps(labels: Labels) -> Labels:
    present = np.bincount(labels.ravel(), minlength=1) > 0
    present[0] = False
    return _numbered(labels, present)


def _numbered(labels: Labels, kept: NDArray[np.bool_]) -> Labels:
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(numbers[labels], dtype=np.int32)


def _threshold(stain: Float, mpp: float, settings: WatershedSettings) -> Any:
    """One number, or ``(h, w)`` for the local one; never below the minimum."""
    filters: Any = import_module("skimage.filters")
    if settings.threshold == "local":
        side = 2 * max(1, round(settings.local_block_um / mpp / 2)) + 1
        return np.maximum(filters.threshold_local(stain, side, method="gaussian"), settings.minimum_od)
    if stain.max() == stain.min():
        return settings.minimum_od
    return max(float(filters.threshold_otsu(stain)), settings.minimum_od)


def _check_mpp(mpp: float, rgb: NDArray[Any]) -> None:
    if not 0 < mpp < 10 or rgb.ndim != 3:
        raise UserError(
            f"{mpp} µm per pixel, image {rgb.shape}",
            where="the segmentation of nuclei",
            expected="a resolution between 0 and 10 µm per pixel and one image (h, w, 3)",
            remedy="give the image's mpp",
        )
