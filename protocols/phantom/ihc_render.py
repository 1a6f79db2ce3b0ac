"""The IHC section of a region: counterstain and DAB as optical density, the section's movement, scanner and noise.

Optical density follows Beer-Lambert with two stains (Ruifrok and Johnston 2001), ``OD_c = H v_Hc + DAB v_DABc``, with
unit stain vectors and log10. As in ``render``, 8-bit rounding comes once, at the drawn resolution; what follows is
integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter
from scipy.spatial import cKDTree

from protocols.phantom.ihc_settings import IhcSettings
from protocols.phantom.image_file import Image
from protocols.phantom.render import COARSE_UM, FINE_UM, RUIFROK_H, Scanner, draw_scanner, fibre_texture, texture
from protocols.phantom.tissue import LUMEN_LEVEL, Float, SlideName, SmoothField, Tissue
from protocols.seeds import generator

RUIFROK_DAB = np.array([0.268, 0.570, 0.776])
SOFT_UM = 0.30
MEMBRANE_UM = 0.75
STRIP_PX = 512
INVERSE_STEP_UM = 4.0
PAD_PX = 4
"""Fine pixels drawn around a patch, so that optical blur has no seam at its rim."""


@dataclass(frozen=True)
class Section:
    """One IHC section: the scanner (whose eosin is not used) and the unit vector of its DAB."""

    scanner: Scanner
    dab: Float


def draw_section(settings: IhcSettings, seed: int, name: SlideName, marker: str) -> Section:
    """Stain and scanner of a patient's section for one marker: not those of the patient's H&E."""
    own = f"{name.patient} {marker} section"
    rng = generator(seed, "ihc stain", own)
    vectors = []
    for vector in (RUIFROK_H, RUIFROK_DAB):
        moved = vector + settings.stain_vector_sd * rng.standard_normal(3)
        vectors.append(moved / np.sqrt((moved**2).sum()))
    scanner = draw_scanner(seed, SlideName(name.cancer, own, own))
    return Section(replace(scanner, haematoxylin=vectors[0]), vectors[1])


def logistic(values: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -40, 40))))


def ihc_stains(settings: IhcSettings, seed: int, tissue: Tissue, od: Float, *, membrane: bool) -> tuple[Float, Float]:
    """Haematoxylin and DAB density ``(pixels, pixels)`` of the neighbouring section, before the amount of counterstain.

    ``od``: each cell's DAB, as the mean over its nucleus or the peak on its membrane. Cells keep place and shape;
    texture is the section's own.
    """
    pixels, mpp = settings.section.image_px, settings.fine_mpp
    rng = generator(seed, "ihc texture", tissue.name.slide)
    fine, coarse = texture(rng, pixels, FINE_UM / mpp), texture(rng, pixels, COARSE_UM / mpp)
    fibres = fibre_texture(rng, tissue, pixels, mpp)
    lumen = logistic((tissue.lumen.image(pixels, mpp) - LUMEN_LEVEL - 0.15) / 0.06)
    tree = cKDTree(tissue.xy)
    h, dab = np.empty((pixels, pixels)), np.empty((pixels, pixels))
    for start in range(0, pixels, STRIP_PX):
        strip = slice(start, min(start + STRIP_PX, pixels))
        h[strip], dab[strip] = _strip(
            settings, tissue, tree, od, membrane, strip, fine[strip], coarse[strip], fibres[strip], lumen[strip]
        )
    return h, dab


def _strip(
    settings: IhcSettings,
    tissue: Tissue,
    tree: cKDTree,
    od: Float,
    membrane: bool,
    rows: slice,
    fine: Float,
    coarse: Float,
    fibres: Float,
    lumen: Float,
) -> tuple[Float, Float]:
    """Some rows of both densities. A pixel belongs to the nearest cell, as on the H&E."""
    y, x = np.mgrid[rows, 0 : fine.shape[1]] * settings.fine_mpp
    points = np.stack([x, y], axis=-1).astype(np.float64)
    found = tree.query(points, k=2)
    distance, cell = np.asarray(found[0], dtype=np.float64), np.asarray(found[1], dtype=np.int64)
    owner, next_cell = cell[..., 0], cell[..., 1]
    delta = points - tissue.xy[owner]
    cos, sin = np.cos(tissue.angle[owner]), np.sin(tissue.angle[owner])
    u, v = delta[..., 0] * cos + delta[..., 1] * sin, -delta[..., 0] * sin + delta[..., 1] * cos
    stretch, radius = np.sqrt(tissue.ratio[owner]), tissue.radius[owner]
    rho = np.sqrt((u / stretch) ** 2 + (v * stretch) ** 2) / radius
    soft = SOFT_UM / radius
    inside = logistic((1 - rho) / soft)
    body = logistic((tissue.reach[owner] - rho) / (1.5 * soft))

    clumps = tissue.clumps[owner]
    chromatin = np.sqrt(clumps) * coarse + np.sqrt(1 - clumps) * fine
    nucleus = tissue.density[owner] * np.clip(1 + 0.45 * tissue.contrast[owner] * chromatin, 0.2, None)
    cytoplasm = body - inside * body
    covered = np.maximum(body, inside)
    matrix = (1 - covered) * (1 - lumen)
    h = settings.counterstain * inside * nucleus + cytoplasm * (0.03 + 0.5 * tissue.basophilia[owner])
    h += matrix * np.clip(0.05 + 0.02 * fibres, 0, None)
    # Antibody that binds nothing in particular: a trace everywhere, below the lowest threshold.
    dab = 0.012 * cytoplasm * (1 + 0.1 * fine) + matrix * np.clip(0.012 + 0.004 * fibres, 0, None)
    if membrane:
        between = np.linalg.norm(tissue.xy[owner] - tissue.xy[next_cell], axis=-1)
        # Exact distance to the line half-way to the next cell; where cells touch, that is the membrane.
        to_border = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2 * np.maximum(between, 1e-9))
        outline = np.abs(rho - tissue.reach[owner]) * radius
        line = np.exp(-0.5 * (np.minimum(outline, to_border) / MEMBRANE_UM) ** 2)
        dab += od[owner] * line * (body > 0.2) * np.clip(1 + 0.15 * coarse, 0, None)
    else:
        # The soft rim takes 2 ln 2 soft from the mean over the nucleus; it is given back, so that the mean is `od`.
        dab += inside * od[owner] / (1 - 2 * np.log(2) * soft) * np.clip(1 + 0.10 * chromatin, 0, None)
    return np.asarray(h), np.asarray(dab)


@dataclass(frozen=True)
class Displacement:
    """Where a point of the H&E patch lies on the patch cut from the IHC section: a rigid and an elastic movement.

    ``at(x)`` in µm: tissue at ``x`` on the H&E is at ``x + at(x)`` on the IHC patch. Both in the frame of the tissue.
    """

    centre: Float
    shift: Float
    rotation: float
    elastic: tuple[SmoothField, SmoothField]
    amplitude: float

    def at(self, xy: Float) -> Float:
        """Displacement ``(n, 2)`` of points ``(n, 2)``."""
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        turned = (xy - self.centre) @ np.array([[cos, sin], [-sin, cos]])
        wave = np.stack([np.clip(field.at(xy), -4, 4) for field in self.elastic], axis=1)
        return np.asarray(turned + self.centre + self.shift + self.amplitude * wave - xy)

    def source(self, xy: Float, rounds: int = 12) -> Float:
        """The point of the H&E whose tissue lies at ``xy`` on the IHC patch: x = xy - at(x), by fixed point.

        Displacements change by less than 0.2 µm in a µm, so an error shrinks fivefold or more each round.
        """
        guess = xy - self.shift
        for _ in range(rounds):
            guess = xy - self.at(guess)
        return np.asarray(guess)


def region_elastic(settings: IhcSettings, seed: int, name: SlideName) -> tuple[SmoothField, SmoothField]:
    """The two components of a region's elastic movement; patches that overlap share it."""
    side = (settings.section.image_px - 1) * settings.fine_mpp
    rng = generator(seed, "ihc elastic", name.slide)
    return (
        SmoothField(rng, side, settings.elastic_length_um),
        SmoothField(rng, side, settings.elastic_length_um),
    )


def patch_corner(settings: IhcSettings, row: int, column: int) -> Float:
    """Centre of a patch's first pixel, (x, y) in µm, in the frame of the tissue."""
    stride = settings.patch_px // 2 * settings.mpp
    return settings.origin_um + stride * np.array([column, row], dtype=np.float64)


def patch_displacement(
    settings: IhcSettings, seed: int, name: SlideName, row: int, column: int, elastic: tuple[SmoothField, SmoothField]
) -> Displacement:
    """A patch's movement: the region's elastic one and a rigid one of its own, as each patch was cut by hand."""
    rng = generator(seed, "ihc rigid", name.slide, row, column)
    shift_x, shift_y, turn = np.clip(rng.standard_normal(3), -2, 2)
    return Displacement(
        centre=patch_corner(settings, row, column) + (settings.patch_px - 1) / 2 * settings.mpp,
        shift=settings.shift_um * np.array([shift_x, shift_y]),
        rotation=float(np.radians(settings.rotation_deg) * turn),
        elastic=elastic,
        amplitude=settings.elastic_um,
    )


def displacement_grid(settings: IhcSettings, displacement: Displacement, row: int, column: int) -> NDArray[np.float16]:
    """``(2, g, g)``: x and y displacement in µm at points that divide the patch evenly from its first to last pixel."""
    along = np.linspace(0, (settings.patch_px - 1) * settings.mpp, settings.displacement_nodes)
    x, y = np.meshgrid(along, along)
    points = patch_corner(settings, row, column) + np.stack([x.ravel(), y.ravel()], axis=1)
    return displacement.at(points).T.reshape(2, len(along), len(along)).astype(np.float16)


def dense_displacement(grid: NDArray[np.float16], pixels: int) -> Float:
    """A stored grid ``(2, g, g)`` at every pixel, ``(2, pixels, pixels)`` in µm: a cubic spline through its points.

    An IHC patch sampled at ``pixel + displacement / mpp`` (x: first component) lies on the H&E.
    """
    nodes = np.linspace(0, pixels - 1, grid.shape[1])
    order = min(3, grid.shape[1] - 1)
    axis = np.arange(pixels)
    dense = [
        RectBivariateSpline(nodes, nodes, part.astype(np.float64), kx=order, ky=order)(axis, axis) for part in grid
    ]
    return np.stack(dense)


@dataclass(frozen=True)
class RegionIhc:
    """An IHC section as densities: plain, and as spline coefficients for sampling between pixels; and its noise."""

    settings: IhcSettings
    section: Section
    h: Float
    dab: Float
    coefficients: tuple[Float, Float]
    noise: NDArray[np.float32]

    def patch(self, row: int, column: int, displacement: Displacement | None) -> Image:
        """One patch in drawn pixels ``(p s, p s, 3)``, in place or as the displacement moves it."""
        scale, settings = self.settings.supersample, self.settings
        side = settings.patch_px * scale
        top = (settings.border_px + row * (settings.patch_px // 2)) * scale
        left = (settings.border_px + column * (settings.patch_px // 2)) * scale
        around = (slice(top - PAD_PX, top + side + PAD_PX), slice(left - PAD_PX, left + side + PAD_PX))
        if displacement is None:
            densities = [self.h[around], self.dab[around]]
        else:
            at = _source_pixels(displacement, around, settings.fine_mpp)
            densities = [
                np.clip(map_coordinates(part, at, order=3, mode="nearest", prefilter=False), 0, None)
                for part in self.coefficients
            ]
        return self._scanned(densities[0], densities[1], self.noise[(*around, slice(None))])

    def _scanned(self, h: Float, dab: Float, noise: NDArray[np.float32]) -> Image:
        scanner = self.section.scanner
        image = np.empty((*h.shape, 3), dtype=np.uint8)
        for channel in range(3):
            light = scanner.white[channel] * 10.0 ** -(
                h * scanner.haematoxylin[channel] + dab * self.section.dab[channel]
            )
            light = gaussian_filter(light, scanner.blur_um / self.settings.fine_mpp, mode="nearest")
            image[..., channel] = np.clip(np.round(light + noise[..., channel]), 0, 255).astype(np.uint8)
        return image[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX]


def _source_pixels(displacement: Displacement, around: tuple[slice, slice], mpp: float) -> Float:
    """Fine pixel coordinates (row, column) of the tissue under each pixel; inverted on a coarser grid, then splined."""
    axes = [np.arange(part.start, part.stop, dtype=np.float64) * mpp for part in around]
    coarse = [np.linspace(axis[0], axis[-1], int(np.ptp(axis) / INVERSE_STEP_UM) + 5) for axis in axes]
    x, y = np.meshgrid(coarse[1], coarse[0])
    source = displacement.source(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(*x.shape, 2)
    splines = [RectBivariateSpline(coarse[0], coarse[1], source[..., k]) for k in (1, 0)]
    return np.stack([np.asarray(spline(axes[0], axes[1])) / mpp for spline in splines])


def region_ihc(
    settings: IhcSettings,
    seed: int,
    tissue: Tissue,
    od: Float,
    marker: str,
    *,
    membrane: bool,
    glass: NDArray[np.bool_],
) -> RegionIhc:
    """Draw a region's IHC section. ``glass``: drawn pixels that hold no tissue."""
    pixels, name = settings.section.image_px, tissue.name
    section = draw_section(settings, seed, name, marker)
    h, dab = ihc_stains(settings, seed, tissue, od, membrane=membrane)
    rng = generator(seed, "ihc scan", name.slide)
    drift = [SmoothField(rng, tissue.side_um, length).image(pixels, settings.fine_mpp) for length in (70.0, 55.0)]
    thickness = np.exp(settings.thickness_sd * drift[0]) * ~glass
    h *= section.scanner.amount_h * thickness * np.exp(0.10 * drift[1])
    dab *= thickness
    noise = np.empty((pixels, pixels, 3), dtype=np.float32)
    for channel in range(3):
        noise[..., channel] = section.scanner.noise * gaussian_filter(rng.standard_normal((pixels, pixels)), 0.4)
    return RegionIhc(settings, section, h, dab, (spline_filter(h), spline_filter(dab)), noise)
