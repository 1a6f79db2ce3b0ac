"""Every number of the IHC phantom: its patches, how each marker follows the cells, and how the sections disagree."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from protocols.errors import UserError, look_up
from protocols.phantom.cell_types import TYPE_NAMES
from protocols.phantom.settings import MINI, PhantomSettings

THRESHOLDS = (0.06, 0.26, 0.46)
"""Lower bounds of weak, moderate and strong mean nuclear DAB for ER and PR, on the scale of IHC4BC's label tables."""


@dataclass(frozen=True)
class MarkerLaw:
    """How a marker follows a cell: a latent level, whose logistic is the optical density of its DAB.

    latent = level[type] + cell_weight (sqrt(v) z + sqrt(1 - v) e) + patient_weight (sqrt(s) V + sqrt(1 - s) H)

    z: (size - chromatin) of the nucleus, standardised, seen on the H&E; V: the patient's visible factor; e, H: hidden;
    all of variance 1. v, s: :attr:`IhcSettings.cell_visible_share` and :attr:`IhcSettings.patient_visible_share`.
    Types without a level never stain. ``membrane``: DAB lies on the cell's outline, not in its nucleus.
    """

    name: str
    levels: tuple[tuple[str, float], ...]
    cell_weight: float
    patient_weight: float
    membrane: bool = False

    @property
    def level_of_type(self) -> tuple[float, ...]:
        """Level of each of :data:`TYPE_NAMES`; the types not named lie so low that none reaches a threshold."""
        return tuple(dict(self.levels).get(name, -9.0) for name in TYPE_NAMES)


MARKER_LAWS = {
    law.name: law
    for law in (
        MarkerLaw(
            "ER",
            (("luminal_tumour", 0.9), ("cycling_tumour", 0.2), ("ductal_epithelial", -0.5), ("basal_tumour", -2.2)),
            cell_weight=1.0,
            patient_weight=1.3,
        ),
        MarkerLaw(
            "PR",
            (("luminal_tumour", 0.4), ("cycling_tumour", -0.6), ("ductal_epithelial", -0.3), ("basal_tumour", -2.6)),
            cell_weight=1.2,
            patient_weight=1.2,
        ),
        MarkerLaw(
            "Her2",
            (("luminal_tumour", -0.4), ("cycling_tumour", 0.9), ("ductal_epithelial", -3.0), ("basal_tumour", -0.5)),
            cell_weight=0.7,
            patient_weight=-1.4,
            membrane=True,
        ),
    )
}
"""By the names of IHC4BC's folders."""


@dataclass(frozen=True)
class IhcSettings:
    """Sizes, effects and amplitudes. A region is ``rows`` x ``columns`` patches, each moved by half its side."""

    profile: str = "mini"
    markers: tuple[tuple[str, int], ...] = (("ER", 12), ("PR", 12), ("Her2", 4))
    """Marker and its number of patients; the first patients have every marker, each marker regions of its own."""
    subregions: int = 1
    rows: int = 2
    columns: int = 3
    patch_px: int = 96
    mpp: float = 1.0
    supersample: int = 2
    """Images are drawn so many times finer and then averaged, as a detector does."""
    border_um: float = 16.0
    """Tissue drawn around the patches, so that a moved section has something to show; no movement may exceed it."""
    immune_bias: float = -0.8
    """Change of the immune niche's level: these are regions of tumour."""
    candidates: int = 8
    """A region is the one of so many with the most tumour cells, as regions are chosen by eye."""
    jpeg_quality: int = 75
    he_subsampling: str = "420"
    ihc_subsampling: str = "444"
    """Colour at half resolution (420) would spread DAB over the nuclei around: 0.06 OD at 1 µm a pixel."""

    cell_visible_share: float = 0.6
    """Share of the variance among cells of a type and patient that nuclear size and chromatin show."""
    patient_visible_share: float = 0.6
    """Share of the variance among patients that the H&E shows."""
    nuclear_size: float = -0.10
    nuclear_density: float = 0.10
    """Log-change of tumour nuclei's radius and haematoxylin by one SD of the patient's visible factor."""
    od_maximum: float = 0.85
    od_slope: float = 1.5
    """OD = od_maximum * logistic(od_slope * latent), log10, along the unit DAB vector: the label tables' scale."""

    shift_um: float = 1.2
    rotation_deg: float = 0.6
    """Standard deviations of a patch's own rigid movement, each axis; drawn within 2 SD."""
    elastic_um: float = 0.9
    elastic_length_um: float = 45.0
    """Root mean square (each axis) and correlation length of the region's elastic movement."""
    displacement_nodes: int = 9
    """Points a side of the stored displacement grids."""
    counterstain: float = 0.55
    """Haematoxylin of the IHC section's nuclei over the H&E's."""
    stain_vector_sd: float = 0.02
    """How far, per channel, a section's two stain vectors lie from the published ones."""
    thickness_sd: float = 0.05

    edge_every: int = 6
    """One region in so many holds the tissue's edge: the rest of it is bare glass."""
    blurred_every: int = 24
    """One H&E patch in so many is out of focus."""
    blur_um: float = 2.5
    discarded_glass: float = 0.4
    """Patches with more bare glass than this share carry the flag of discarded patches, as do those out of focus."""
    forced_zero_below: float = 8.0
    """Patches with a lower H-score carry the flag of those that were forced to zero."""
    reachable_draws: int = 200

    def __post_init__(self) -> None:
        # Two SD of shift and rotation and four of the elastic movement, the most that can be drawn.
        most = 2 * self.shift_um + np.radians(2 * self.rotation_deg) * self.patch_um + 4 * self.elastic_um
        for name, ok, expected in (
            ("patch_px", self.patch_px % 2 == 0, "an even number, patches overlap by half"),
            ("supersample", self.supersample in (1, 2, 4), "1, 2 or 4"),
            ("border_um", most <= self.border_um + 1e-9, f"at least {most:.1f} for movements this large"),
            ("cell_visible_share", 0 <= self.cell_visible_share <= 1, "a share between 0 and 1"),
            ("patient_visible_share", 0 <= self.patient_visible_share <= 1, "a share between 0 and 1"),
            ("od_maximum", self.od_maximum > THRESHOLDS[-1], f"above {THRESHOLDS[-1]}"),
            ("he_subsampling", self.he_subsampling in ("420", "422", "444"), "420, 422 or 444"),
            ("ihc_subsampling", self.ihc_subsampling in ("420", "422", "444"), "420, 422 or 444"),
            ("candidates", self.candidates >= 1, "at least 1"),
            ("displacement_nodes", self.displacement_nodes >= 2, "at least 2"),
        ):
            if not ok:
                raise UserError(f"{name} does not fit", where="IHC phantom", expected=expected, remedy="change it")
        for marker, _ in self.markers:
            look_up(marker, MARKER_LAWS, kind="marker", where="IHC phantom")

    @property
    def fine_mpp(self) -> float:
        """Micrometres of a drawn pixel."""
        return self.mpp / self.supersample

    @property
    def border_px(self) -> int:
        return int(np.ceil(self.border_um / self.mpp))

    @property
    def patch_um(self) -> float:
        return self.patch_px * self.mpp

    @cached_property
    def section(self) -> PhantomSettings:
        """The square of tissue that is drawn."""
        side = (max(self.rows, self.columns) + 1) * self.patch_px // 2 + 2 * self.border_px
        return replace(MINI, profile=self.profile, image_px=side * self.supersample, mpp=self.fine_mpp)

    @property
    def origin_um(self) -> float:
        """Where the centre of the first patch's first pixel lies on the drawn tissue, either axis."""
        return self.border_px * self.mpp + (self.supersample - 1) / 2 * self.fine_mpp

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


MINI_IHC = IhcSettings()
"""28 regions of six patches of 96 µm: small enough to travel inside the repository, in both sets."""

FULL_IHC = IhcSettings(
    profile="full",
    markers=(("ER", 40), ("PR", 40), ("Her2", 20)),
    columns=2,
    patch_px=3000,
    mpp=0.25,
    supersample=1,
    border_um=30.0,
    shift_um=2.0,
    rotation_deg=0.3,
    elastic_um=2.5,
    elastic_length_um=120.0,
    displacement_nodes=25,
    candidates=3,
    jpeg_quality=85,
    blurred_every=25,
)
"""Patches of 3,000 pixels as IHC4BC's; a region needs about 4 GB of memory."""

PRESETS = {"mini": MINI_IHC, "full": FULL_IHC}


def ihc_preset(name: str) -> IhcSettings:
    """The preset of that name, or an error that suggests the nearest one."""
    return look_up(name, PRESETS, kind="phantom preset", where="IHC phantom")
