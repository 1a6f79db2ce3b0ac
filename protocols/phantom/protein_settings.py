"""Every number of the protein phantom: its slides, its markers, and what moves the outcomes of its patients."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from protocols.errors import UserError, look_up
from protocols.phantom.settings import MINI, PhantomSettings
from protocols.phantom.tcga_settings import MINI_TCGA, TcgaSettings

TILE_PX = 224
"""HEX's tile at level 0."""
MPP = 0.25


def _slide(tiles: int) -> PhantomSettings:
    """A square slide of ``tiles`` x ``tiles`` tiles."""
    return replace(MINI, image_px=tiles * TILE_PX, mpp=MPP, pyramid_levels=1, tile_px=TILE_PX, jpeg_quality=30)


@dataclass(frozen=True)
class ProteinSettings:
    """Sizes and effects. Values of markers are shares of the 8-bit range, as HEX's tables hold them (mean / 256)."""

    profile: str = "mini"
    patients: int = 10
    tiles: int = 10
    """Tiles along the side of a slide of the development cohort."""
    external_patients: int = 8
    external_tiles: int = 4

    amplitude: tuple[float, float] = (0.6, 0.9)
    """SD of a marker's log-level over the cells of a mix of equal types."""
    brightness: tuple[float, float] = (0.04, 0.10)
    background: tuple[float, float] = (0.008, 0.020)
    regional_share: float = 0.5
    """Share of the hidden variance that all cells of a tile have in common: the mean over a tile's cells leaves it."""
    hidden_smooth: float = 0.5
    """Share of the common hidden variance that is smooth over the slide."""
    noise: float = 0.06
    """SD of the log of a tile's noise of measurement."""
    slide_gain: float = 0.10
    """SD of the log of a marker's gain on a slide."""
    external_gain: float = 0.35
    external_offset: float = 0.01
    """SD of the log of a marker's gain, and greatest offset, in the external set."""
    replicate_draws: int = 40

    followed: int = 120
    treated: int = 150
    rows: int = 16
    columns: int = 24
    """Tiles of a patient's map of each marker: 16 x 24, so that a token of HEX's has 384 values."""
    positive: int = 96
    """Tiles of a map that are positive: the same for every patient and marker."""
    weight_space: float = 1.0
    weight_means: float = 0.5
    """Change of the log-hazard, or of the log-odds of a response, by one SD of each, times ``effect_scale``."""
    effect_scale: float = 1.0
    """0: nothing predicts anything, and every honest model must be at C = 0.5 and AUC = 0.5."""
    closeness: float = 0.8
    """How a patient's spatial factor z makes the correlation of two markers' fields: tanh(closeness z)."""
    mean_loading: tuple[float, float] = (0.5, 0.8)
    mean_sd: float = 0.30
    """SD over patients of the log of a marker's mean."""
    response_odds: float = -0.5
    """Log-odds of a response where nothing speaks for or against it."""
    biomarker_loading: tuple[float, float] = (0.35, 0.25)
    """Correlation of PD-L1 and of TMB with the log-odds of a response."""
    tcga: TcgaSettings = field(
        default_factory=lambda: replace(MINI_TCGA, slide=replace(MINI_TCGA.slide, image_px=192, tile_px=192))
    )
    """Follow-up: the Weibull law and the censored share of the TCGA-like phantom, and its slides, 192 px at 0.5 µm."""

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("patients", min(self.patients, self.external_patients) >= 1, "at least one patient"),
            ("positive", 0 < self.positive < self.rows * self.columns, "some tiles of a map, not all"),
            ("regional_share", 0 <= self.regional_share <= 1 and 0 <= self.hidden_smooth <= 1, "shares in [0, 1]"),
            ("followed", min(self.followed, self.treated) >= 10, "at least ten patients"),
            ("replicate_draws", self.replicate_draws >= 1, "at least one draw"),
        ):
            if not ok:
                raise UserError(f"{name} does not fit", where="protein phantom", expected=expected, remedy="change it")

    @property
    def slide(self) -> PhantomSettings:
        return _slide(self.tiles)

    @property
    def external_slide(self) -> PhantomSettings:
        return _slide(self.external_tiles)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


MINI_PROTEIN = ProteinSettings()
"""Ten slides of a hundred tiles, 120 and 150 patients: small enough to travel inside the repository."""

FULL_PROTEIN = ProteinSettings(
    profile="full", tiles=18, external_patients=24, external_tiles=6, followed=600, treated=400
)

PRESETS = {"mini": MINI_PROTEIN, "full": FULL_PROTEIN}


def protein_preset(name: str) -> ProteinSettings:
    """The preset of that name, or an error that suggests the nearest one."""
    return look_up(name, PRESETS, kind="phantom preset", where="protein phantom")
