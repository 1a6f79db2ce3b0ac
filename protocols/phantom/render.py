"""The H&E image of a slide: nuclei, cytoplasm and fibres as optical density, then stain, scanner and noise.

Optical density follows Beer-Lambert with two stains (Ruifrok and Johnston 2001): ``OD_c = H v_Hc + E v_Ec``,
``I_c = white_c 10^(-OD_c)``. Everything is computed in float64 and rounded to 8 bits once, so that the last bit of a
transcendental function, which differs between processors, does not reach the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from protocols.phantom.settings import PhantomSettings
from protocols.phantom.tissue import LUMEN_LEVEL, Float, SlideName, SmoothField, Tissue
from protocols.seeds import generator

RUIFROK_H = np.array([0.65, 0.70, 0.29])
RUIFROK_E = np.array([0.07, 0.99, 0.11])
FINE_UM, COARSE_UM, FIBRE_UM = 0.45, 1.0, 1.1
WINDOW_UM = 9.5


@dataclass(frozen=True)
class Scanner:
    """Stain and optics of one slide: unit stain vectors, amounts, blur (µm), noise (8-bit levels), white point."""

    haematoxylin: Float
    eosin: Float
    amount_h: float
    amount_e: float
    blur_um: float
    noise: float
    white: Float
    thickness_sd: float


def draw_scanner(seed: int, name: SlideName) -> Scanner:
    """A patient's stain and scanner; slides of one patient differ a little in amount of stain."""
    rng = generator(seed, "scanner", name.patient)
    own = generator(seed, "stain batch", name.slide)
    vectors = []
    for vector in (RUIFROK_H, RUIFROK_E):
        moved = np.clip(vector + 0.06 * rng.standard_normal(3), 0.02, None)
        vectors.append(moved / np.sqrt((moved**2).sum()))
    return Scanner(
        haematoxylin=vectors[0],
        eosin=vectors[1],
        amount_h=float(np.exp(0.15 * rng.standard_normal() + 0.03 * own.standard_normal())),
        amount_e=float(np.exp(0.18 * rng.standard_normal() + 0.03 * own.standard_normal())),
        blur_um=float(rng.uniform(0.20, 0.34)),
        noise=float(rng.uniform(0.8, 2.0)),
        white=np.array([243.0, 241.0, 244.0]) + rng.uniform(-4, 4, 3),
        thickness_sd=float(rng.uniform(0.10, 0.16)),
    )


def texture(rng: np.random.Generator, pixels: int, sigma_px: float | tuple[float, float]) -> Float:
    """White noise blurred to ``sigma_px``, scaled to variance 1."""
    noise = gaussian_filter(rng.standard_normal((pixels, pixels)), sigma_px, mode="wrap")
    return np.asarray(noise / noise.std())


def fibre_texture(rng: np.random.Generator, tissue: Tissue, pixels: int, mpp: float) -> Float:
    """Fibres along the slide's orientation field: blends of noise streaked in eight directions."""
    angle = np.pi * 0.6 * tissue.fibre.image(pixels, mpp)
    across, along = FIBRE_UM / mpp, 9.0 / mpp
    noise = rng.standard_normal((pixels, pixels))
    total, directions = np.zeros((pixels, pixels)), 8
    fy, fx = np.fft.fftfreq(pixels)[:, None], np.fft.rfftfreq(pixels)[None, :]
    spectrum = np.fft.rfft2(noise)
    for k in range(directions):
        theta = np.pi * k / directions
        u, v = fx * np.cos(theta) + fy * np.sin(theta), -fx * np.sin(theta) + fy * np.cos(theta)
        gain = np.exp(-2 * np.pi**2 * ((along * u) ** 2 + (across * v) ** 2))
        streaks = np.fft.irfft2(spectrum * gain, s=(pixels, pixels))
        total += np.maximum(np.cos(angle - theta), -np.cos(angle - theta)) ** 12 * streaks
    return np.asarray(total / total.std())


@dataclass
class _Canvas:
    """What is painted cell by cell: nearest cell so far (squared µm) and the stains of that cell."""

    nearest: Float
    h: Float
    e: Float
    covered: Float


def _paint(canvas: _Canvas, tissue: Tissue, i: int, mpp: float, fine: Float, coarse: Float, wobble: Float) -> None:
    """Draw cell ``i`` wherever no other cell's centre is nearer."""
    pixels = canvas.h.shape[0]
    x, y = tissue.xy[i] / mpp
    half = int(np.ceil(WINDOW_UM / mpp))
    x0, x1 = max(0, int(x) - half), min(pixels, int(x) + half + 2)
    y0, y1 = max(0, int(y) - half), min(pixels, int(y) + half + 2)
    box = (slice(y0, y1), slice(x0, x1))
    dy = (np.arange(y0, y1)[:, None] - y) * mpp
    dx = (np.arange(x0, x1)[None, :] - x) * mpp
    distance = dx**2 + dy**2
    mine = distance < canvas.nearest[box]
    canvas.nearest[box][mine] = distance[mine]

    cos, sin = np.cos(tissue.angle[i]), np.sin(tissue.angle[i])
    u, v = dx * cos + dy * sin, -dx * sin + dy * cos
    stretch = np.sqrt(tissue.ratio[i])
    radius = tissue.radius[i]
    # Outline: an ellipse of the cell's area, dented by two low harmonics.
    phi = np.arctan2(v, u)
    dent = 1 + 0.05 * wobble[0] * np.cos(2 * phi + wobble[1]) + 0.04 * wobble[2] * np.cos(3 * phi + wobble[3])
    rho = np.sqrt((u / stretch) ** 2 + (v * stretch) ** 2) / (radius * dent)
    soft = 0.30 / radius
    inside = 1 / (1 + np.exp(np.clip((rho - 1) / soft, -40, 40)))
    reach = tissue.reach[i]
    body = 1 / (1 + np.exp(np.clip((rho - reach) / (1.5 * soft), -40, 40)))

    clumps = tissue.clumps[i]
    chromatin = np.sqrt(clumps) * coarse[box] + np.sqrt(1 - clumps) * fine[box]
    rim = 0.35 * clumps * np.exp(-0.5 * ((rho - 0.92) / 0.10) ** 2)
    nucleus = tissue.density[i] * np.clip(1 + 0.55 * tissue.contrast[i] * chromatin + rim, 0.15, None)
    grain = 1 + 0.10 * fine[box]
    h = inside * nucleus + (body - inside * body) * tissue.basophilia[i] * grain
    e = (body - 0.7 * inside * body) * 0.8 * tissue.eosin[i] * grain
    canvas.h[box][mine] = h[mine]
    canvas.e[box][mine] = e[mine]
    canvas.covered[box][mine] = np.maximum(body, inside)[mine]


def stains(settings: PhantomSettings, seed: int, tissue: Tissue) -> tuple[Float, Float]:
    """Haematoxylin and eosin density of every pixel, before stain amounts and thickness."""
    pixels, mpp = settings.image_px, settings.mpp
    rng = generator(seed, "texture", tissue.name.slide)
    fine, coarse = texture(rng, pixels, FINE_UM / mpp), texture(rng, pixels, COARSE_UM / mpp)
    fibres = fibre_texture(rng, tissue, pixels, mpp)
    canvas = _Canvas(
        np.full((pixels, pixels), np.inf), np.zeros((pixels, pixels)), np.zeros((pixels, pixels)),
        np.zeros((pixels, pixels)),
    )  # fmt: skip
    wobbles = rng.uniform(-1, 1, (len(tissue), 4)) * np.array([1, np.pi, 1, np.pi])
    for i in range(len(tissue)):
        _paint(canvas, tissue, i, mpp, fine, coarse, wobbles[i])
    lumen = 1 / (1 + np.exp(-np.clip((tissue.lumen.image(pixels, mpp) - LUMEN_LEVEL - 0.15) / 0.06, -40, 40)))
    matrix_e = np.clip(0.27 + 0.11 * fibres, 0.03, None) * (1 - lumen)
    matrix_h = np.clip(0.03 + 0.012 * fibres, 0.0, None) * (1 - lumen)
    return canvas.h + (1 - canvas.covered) * matrix_h, canvas.e + (1 - canvas.covered) * matrix_e


def render(settings: PhantomSettings, seed: int, tissue: Tissue) -> NDArray[np.uint8]:
    """The RGB image ``(pixels, pixels, 3)``."""
    pixels, mpp, name = settings.image_px, settings.mpp, tissue.name
    scanner = draw_scanner(seed, name)
    h, e = stains(settings, seed, tissue)
    rng = generator(seed, "scan", name.slide)
    drift = [SmoothField(rng, tissue.side_um, length).image(pixels, mpp) for length in (70.0, 55.0, 55.0)]
    thickness = np.exp(scanner.thickness_sd * drift[0])
    h = h * scanner.amount_h * thickness * np.exp(0.10 * drift[1])
    e = e * scanner.amount_e * thickness * np.exp(0.12 * drift[2])
    image = np.empty((pixels, pixels, 3), dtype=np.uint8)
    for channel in range(3):
        density = h * scanner.haematoxylin[channel] + e * scanner.eosin[channel]
        light = scanner.white[channel] * 10.0**-density
        light = gaussian_filter(light, scanner.blur_um / mpp, mode="nearest")
        light += scanner.noise * gaussian_filter(rng.standard_normal((pixels, pixels)), 0.4)
        image[..., channel] = np.clip(np.round(light), 0, 255).astype(np.uint8)
    return image
