"""Every number of the phantom, in one frozen record; ``docs/phantom.md`` says what each one means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from protocols.errors import UserError, look_up


@dataclass(frozen=True)
class PhantomSettings:
    """Size and difficulty of a phantom cohort. Lengths are micrometres unless a name says otherwise."""

    profile: str = "mini"
    cancers: tuple[str, ...] = ("breast", "lung", "colon", "ovary", "prostate", "skin")
    patients_per_cancer: int = 3
    lone_cancer: str | None = "cervix"
    """A cancer with one single patient, who has ``lone_slides`` slides."""
    lone_slides: int = 2

    image_px: int = 736
    mpp: float = 0.5
    cell_spacing_um: float = 10.4
    margin_um: float = 5.0

    core_genes: int = 80
    shared_genes: int = 22
    """Genes of a panel that some, not all, other cancers also have."""
    shared_pool: int = 66
    private_genes: int = 8
    """Genes that only this cancer's panel has."""
    lacking_genes: int = 6
    """Genes that the last patient of the first cancer lacks."""
    control_probes: int = 4

    visible_shares: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
    visible_share_weights: tuple[float, ...] = (0.30, 0.10, 0.15, 0.15, 0.15, 0.15)
    """How often each share is drawn for a gene that marks no cell type (markers draw among shares of 0.8 and more)."""
    loading_shares: tuple[float, float, float] = (0.26, 0.50, 0.24)
    """Variance of a gene's loading that is shared by all, by the cancer, and by the patient only."""
    marker_shares: tuple[float, float, float] = (0.68, 0.23, 0.09)
    amplitude: tuple[float, float] = (0.85, 1.45)
    """Range of the standard deviation of a gene's log-rate over the cells of a slide."""
    base_sd: float = 0.7
    platform_sd: float = 0.2
    hidden_programs: int = 8

    depth_median: float = 230.0
    depth_slide_sd: float = 0.18
    depth_cell_sd: float = 0.35
    overdispersion: float = 0.5
    """theta in Var = mean (1 + theta)."""

    rare_share: tuple[float, float] = (0.035, 0.065)
    oracle_draws: int = 256
    replicate_draws: int = 20

    jpeg_quality: int = 80
    tile_px: int = 256
    pyramid_levels: int = 3
    boundary_vertices: int = 8
    keypoint_regions: int = 3
    keypoints_per_region: int = 5
    keypoint_jitter_um: float = 0.25

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("visible_shares", len(self.visible_shares) == len(self.visible_share_weights), "one weight per share"),
            ("visible_shares", all(0 <= v < 1 for v in self.visible_shares), "shares in [0, 1)"),
            ("loading_shares", abs(sum(self.loading_shares) - 1) < 1e-9, "shares that sum to 1"),
            ("marker_shares", abs(sum(self.marker_shares) - 1) < 1e-9, "shares that sum to 1"),
            ("shared_genes", self.shared_genes <= self.shared_pool, "at most shared_pool"),
            ("cancers", len(self.cancers) > 0 and self.patients_per_cancer > 0, "at least one patient"),
            ("tile_px", self.tile_px % 16 == 0, "a multiple of 16"),
            ("oracle_draws", self.oracle_draws >= 1 and self.replicate_draws >= 1, "at least one draw"),
        ):
            if not ok:
                raise UserError(f"{name} does not fit", where="phantom settings", expected=expected, remedy="change it")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


MINI = PhantomSettings()
"""20 slides of about 800 cells: the default cohort, small enough to travel inside the repository."""

FULL = PhantomSettings(
    profile="full",
    image_px=4096,
    mpp=0.25,
    core_genes=240,
    shared_genes=60,
    shared_pool=150,
    private_genes=20,
    control_probes=20,
    depth_median=420.0,
    pyramid_levels=5,
    boundary_vertices=12,
    keypoint_regions=6,
)
"""Slides of about 1 mm with thousands of cells and 320 genes: the same tissue at a working size."""

PRESETS = {"mini": MINI, "full": FULL}


def preset(name: str) -> PhantomSettings:
    """The preset of that name, or an error that suggests the nearest one."""
    return look_up(name, PRESETS, kind="phantom preset", where="phantom")
