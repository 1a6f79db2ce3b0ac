"""The page of spatial maps: H&E, truth and every model's map side by side, in one HTML file that asks for nothing.

SEQUOIA's authors offer such a view as a web application; this one works from a run's files, without a server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.metrics.subtypes import NO_SUBTYPE, kappa, subtypes
from reports.co_expression import MODULE_COLOURS, NO_MODULE, module_names
from reports.page import TEMPLATES
from reports.page_data import COLOUR_STOPS, to_script

Kind = Literal["model", "control", "oracle"]
Values = NDArray[np.floating[Any]]

STYLES = ("page.css", "plots.css", "spatial.css")
SCRIPTS = ("core.js", "spatial.js", "spatial_controls.js")
COLOUR_SCALES = ("viridis", "cividis", "magma", "Greys")
"""Sequential, and rising or falling in lightness throughout, so that colour-blind eyes and grey prints read them."""
SCORES = ("pearson", "spearman", "beyond_trend_p", "ssim", "emd")
BUDGET = 8_000_000
"""Characters that pictures and maps together may take in the page."""
STEPS = 254
"""A percentile score is kept in steps of 100/254; level 255 says that the tile has no value."""
NO_VALUE = NO_SUBTYPE


@dataclass(frozen=True)
class SectionMaps:
    """One section: its picture, and percentile scores (0 to 100 within section and gene) of truth and models.

    ``thumbnail`` is a JPEG of ``thumbnail_size`` (width, height) pixels, ``um_per_pixel`` micrometres each. ``row`` and
    ``column`` ``(t,)`` place the tissue tiles on a grid of ``tile_um``, whose tile (0, 0) begins ``grid_origin_um``
    (x, y) from the picture's top left corner. ``truth`` and ``models[title]`` are float ``(t, g)``, NaN where a tile
    has no value. ``scores[title]`` has one mapping a gene with :data:`SCORES`, any absent or None. ``modules`` names
    the meta-modules of a gene.
    """

    section: str
    patient: str
    phantom: bool
    thumbnail: bytes = field(repr=False)
    thumbnail_size: tuple[int, int]
    um_per_pixel: float
    tile_um: float
    row: NDArray[np.integer[Any]]
    column: NDArray[np.integer[Any]]
    genes: tuple[str, ...]
    truth: Values
    models: Mapping[str, Values]
    scores: Mapping[str, Sequence[Mapping[str, float | None]]]
    modules: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    grid_origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        tiles, genes = len(self.row), len(self.genes)
        if not tiles or not genes or self.column.shape != self.row.shape or self.row.ndim != 1:
            raise self._wrong(
                f"{tiles} rows, {len(self.column)} columns, {genes} genes", "tiles and genes, one place a tile"
            )
        if int(min(self.row.min(), self.column.min())) < 0 or len(set(zip(self.row, self.column, strict=True))) < tiles:
            raise self._wrong("two tiles in one place, or a negative place", "one tile a place of the grid")
        if len(set(self.genes)) < genes:
            raise self._wrong("a gene twice", "gene names that differ")
        for title, values in {"truth": self.truth, **self.models}.items():
            known = values[np.isfinite(values)]
            if values.shape != (tiles, genes) or (len(known) and (known.min() < -1e-6 or known.max() > 100 + 1e-6)):
                raise self._wrong(f"maps of {title}", f"shape ({tiles}, {genes}) and percentile scores 0 to 100")
        for title, scores in self.scores.items():
            if title not in self.models or len(scores) != genes:
                raise self._wrong(f"scores of {title}", "scores of a given model, one mapping a gene")
        positive = (*self.thumbnail_size, self.um_per_pixel, self.tile_um)
        if not self.thumbnail.startswith(b"\xff\xd8") or min(positive) <= 0:
            raise self._wrong("picture or sizes", "a JPEG and sizes above zero")

    def _wrong(self, what: str, expected: str) -> UserError:
        remedy = "build the section from the protocol's maps"
        return UserError(what, where=f"spatial page, section {self.section}", expected=expected, remedy=remedy)


def spatial_page(sections: Sequence[SectionMaps], *, notices: Sequence[str], budget: int = BUDGET) -> str:
    """Render the page, in the given order of sections, genes and notices. All text is escaped.

    :param notices: what must be read first (random weights and the like); that a section is a phantom is added here
    :param budget: characters for pictures and maps; genes beyond it are left out, the last listed first
    :raises UserError: no sections; two of one name; pictures that alone exceed the budget
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    if not sections or len({s.section for s in sections}) < len(sections):
        raise UserError(
            "two sections of one name" if sections else "no sections",
            where="spatial page",
            expected="at least one section, and names that differ",
            remedy="score gbm_spatial on sections of a cohort",
        )
    kept = gene_limit(sections, budget)
    most = max(len(s.genes) for s in sections)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    data = {
        "sections": [_encode(section, kept) for section in sections],
        "scales": {name.lower(): _stops(name) for name in COLOUR_SCALES},
        "module_colours": list(MODULE_COLOURS),
        "no_module": NO_MODULE,
    }
    return environment.get_template("spatial.html.j2").render(
        notices=[*_phantom_notice(sections), *notices],
        has_modules=any(module_names(s.genes, s.modules) for s in sections),
        left_out=None if kept >= most else (kept, most),
        scales=[name.lower() for name in COLOUR_SCALES],
        sections=sections,
        style=Markup("\n".join(_asset(name) for name in STYLES)),
        script=Markup("\n".join(_asset(name) for name in SCRIPTS)),
        data=Markup(to_script(data)),
    )


def gene_limit(sections: Sequence[SectionMaps], budget: int = BUDGET) -> int:
    """How many genes of each section, from the first, fit into ``budget`` characters beside the pictures."""
    pictures = sum(len(s.thumbnail) * 4 // 3 for s in sections)
    most = max(len(s.genes) for s in sections)
    # A level a tile in base64 for the truth and each model; about 45 characters for a model's scores of one gene.
    widths = [((1 + len(s.models)) * len(s.row) * 4 / 3 + 45 * len(s.models), len(s.genes)) for s in sections]
    for kept in range(most, 0, -1):
        if pictures + sum(width * min(kept, genes) for width, genes in widths) <= budget:
            return kept
    raise UserError(
        f"pictures take {pictures:,} characters and leave no room for a gene",
        where="spatial page",
        expected=f"at most {budget:,} for pictures and maps",
        remedy="make the thumbnails smaller or show fewer sections",
    )


def _phantom_notice(sections: Sequence[SectionMaps]) -> list[str]:
    named = [s.section for s in sections if s.phantom]
    if not named:
        return []
    which = "All sections are phantoms" if len(named) == len(sections) else f"Phantoms ({', '.join(named)})"
    return [f"{which}: simulated tissue with known truth, which says nothing about any published model."]


def _encode(section: SectionMaps, kept: int) -> dict[str, Any]:
    names = module_names(section.genes, section.modules)
    truth = subtypes(section.truth, section.genes, section.modules) if names else None
    shown = section.genes[:kept]
    return {
        "section": section.section,
        "patient": section.patient,
        "phantom": section.phantom,
        "picture": "data:image/jpeg;base64," + base64.b64encode(section.thumbnail).decode("ascii"),
        "um_per_pixel": float(section.um_per_pixel),
        "tile_um": float(section.tile_um),
        "origin_um": [float(value) for value in section.grid_origin_um],
        "row": _pack(section.row.astype("<u2")),
        "column": _pack(section.column.astype("<u2")),
        "genes": list(shown),
        "modules_of": [[names.index(m) for m in sorted(set(section.modules.get(gene, ())))] for gene in shown],
        "truth": _levels(section.truth, kept),
        "module_names": list(names),
        "module_sizes": [sum(name in section.modules.get(gene, ()) for gene in section.genes) for name in names],
        "module_truth": None if truth is None else _pack(truth),
        "models": [_encode_model(section, title, truth, kept) for title in section.models],
    }


def _encode_model(section: SectionMaps, title: str, truth: NDArray[np.uint8] | None, kept: int) -> dict[str, Any]:
    values = section.models[title]
    scores = section.scores.get(title, [{}] * len(section.genes))[:kept]
    entry: dict[str, Any] = {
        "title": title,
        "kind": section.kinds.get(title, "model"),
        "levels": _levels(values, kept),
        "scores": [[_score(gene.get(name)) for name in SCORES] for gene in scores],
    }
    if truth is not None:
        predicted = subtypes(values, section.genes, section.modules)
        same = kappa(truth, predicted)
        entry["modules"] = _pack(predicted)
        entry["agreement"] = None if same is None else [_score(value) for value in same]
    return entry


def _levels(values: Values, kept: int) -> str:
    """Levels gene by gene, ``(kept, t)`` bytes in base64."""
    scaled = np.asarray(values, np.float64)[:, :kept].T
    levels = np.full(scaled.shape, NO_VALUE, np.uint8)
    known = np.isfinite(scaled)
    levels[known] = np.rint(np.clip(scaled[known], 0, 100) / 100 * STEPS).astype(np.uint8)
    return _pack(levels)


def _pack(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _score(value: float | None) -> float | None:
    """Four significant digits; None where undefined."""
    return None if value is None or not np.isfinite(value) else float(f"{float(value):.4g}")


def _stops(name: str) -> list[list[int]]:
    import matplotlib

    colours = matplotlib.colormaps[name]
    return [[round(255 * c) for c in colours(i / (COLOUR_STOPS - 1))[:3]] for i in range(COLOUR_STOPS)]


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
