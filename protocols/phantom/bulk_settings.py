"""Every number of the bulk-expression phantom: cohorts, normal tissue, sections, and how genes follow the tissue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from protocols.errors import UserError, look_up
from protocols.phantom.settings import MINI, PhantomSettings
from protocols.phantom.tcga_settings import FULL_TCGA, MINI_TCGA, TcgaSettings


@dataclass(frozen=True)
class BulkSettings:
    """Cohorts ``shared`` have their slides in the TCGA-like phantom; all others get slides of the same make."""

    profile: str = "mini"
    tcga: TcgaSettings = field(default_factory=lambda: MINI_TCGA)
    shared: tuple[str, ...] = ("brca", "luad")
    own: tuple[tuple[str, int], ...] = (("gbm", 80),)
    external: tuple[tuple[str, str, int], ...] = (("cptac_brca", "brca", 40),)
    """Name, the cancer it is of, patients."""
    normal: tuple[tuple[str, int], ...] = (("brain", 30), ("colon", 30), ("lung", 30), ("breast", 8))
    sections: int = 4
    section: PhantomSettings = field(
        default_factory=lambda: replace(MINI, image_px=1216, pyramid_levels=1, tile_px=256, jpeg_quality=50)
    )
    spot_pitch_um: float = 40.0
    spot_um: float = 38.0
    """Visium has 100 and 55 µm; here spots nearly touch, so that each holds about ten cells on a shrunken section."""
    spot_depth: float = 6000.0
    """Median transcripts of a spot over the genes of the table."""
    niche_um: float = 140.0
    """Size of a section's regions; a whole slide of the cohorts is little larger."""
    hidden_length_um: float = 80.0
    """Length over which what morphology does not show varies inside a section."""

    module_genes: int = 8
    """Genes of each of the four glioblastoma meta-modules."""
    coding_genes: int = 72
    lnc_genes: int = 10
    mi_genes: int = 4
    silent_genes: int = 4
    """Genes that most patients do not express: a per-cancer gene list leaves them out."""
    visible_shares: tuple[float, ...] = (0.0, 0.15, 0.3, 0.45, 0.6)
    visible_share_weights: tuple[float, ...] = (0.30, 0.20, 0.20, 0.15, 0.15)
    module_visible: tuple[float, float] = (0.35, 0.65)
    """Range of the visible share of the meta-modules' genes."""
    cancer_share: float = 0.25
    """Part of a gene's loading that is the tissue's own; the rest is shared by all tissues."""
    traits_share: float = 0.7
    """Part of a loading that acts through the cells' looks (size, shape, darkness, eosin), not through their type."""
    hidden_programs: int = 6
    base: tuple[float, float] = (3.0, 9.0)
    amplitude: tuple[float, float] = (0.6, 1.5)
    """Mean and standard deviation of log2(FPKM-UQ + 1) over a cohort's patients."""
    platform_sd: float = 0.4
    """Shift of a gene's level in an external cohort."""

    def __post_init__(self) -> None:
        known = [name for name, _ in self.tcga.cohorts]
        for name, ok, expected in (
            ("shared", all(cohort in known for cohort in self.shared), f"cohorts among {', '.join(known)}"),
            ("visible_shares", len(self.visible_shares) == len(self.visible_share_weights), "one weight per share"),
            ("visible_shares", all(0 <= v < 1 for v in self.visible_shares), "shares in [0, 1)"),
            ("own", all(size >= 25 for _, size in self.own), "at least 25 patients each"),
            ("own", _differ(name[0] for name, _ in self.own), "names that begin with different letters, as ids show"),
            ("external", _differ(name[-1] for name, *_ in self.external), "names that end in different letters"),
            ("spot_um", 0 < self.spot_um <= self.spot_pitch_um, "no more than the pitch"),
        ):
            if not ok:
                raise UserError(
                    f"{name} does not fit", where="bulk phantom", expected=expected, remedy="change it"
                )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _differ(letters: Iterable[str]) -> bool:
    listed = [letter.upper() for letter in letters]
    return len(set(listed)) == len(listed)


MINI_BULK = BulkSettings()
"""227 slides of 144 µm and four sections of 0.6 mm, beside the slides of the TCGA-like phantom."""

FULL_BULK = BulkSettings(
    profile="full",
    tcga=FULL_TCGA,
    own=(("gbm", 200),),
    external=(("cptac_brca", "brca", 120),),
    normal=(("brain", 100), ("colon", 100), ("lung", 100), ("breast", 40)),
    sections=18,
    niche_um=400.0,
    hidden_length_um=300.0,
    section=replace(MINI, profile="full", image_px=8192, pyramid_levels=5, jpeg_quality=80),
    spot_pitch_um=100.0,
    spot_um=55.0,
    coding_genes=1600,
    lnc_genes=200,
    mi_genes=60,
    silent_genes=100,
)

PRESETS = {"mini": MINI_BULK, "full": FULL_BULK}


def bulk_preset(name: str) -> BulkSettings:
    """The preset of that name, or an error that suggests the nearest one."""
    return look_up(name, PRESETS, kind="phantom preset", where="phantom")
