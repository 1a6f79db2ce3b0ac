"""Every number of the TCGA-like phantom: its cohorts, what moves the hazard, and how it shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from protocols.errors import UserError, look_up
from protocols.phantom.settings import MINI, PhantomSettings


@dataclass(frozen=True)
class TcgaSettings:
    """Sizes and effects. Three independent standard normal factors a patient: *image* is seen on the slide alone,
    *genome* in the tables alone, *shared* in both."""

    profile: str = "mini"
    cohorts: tuple[tuple[str, int], ...] = (("brca", 180), ("luad", 100), ("coadread", 60))
    """Name (lower-case TCGA code) and number of patients."""
    second_slide: float = 0.08
    """Share of patients with two slides."""
    slide: PhantomSettings = field(
        default_factory=lambda: replace(MINI, image_px=288, pyramid_levels=1, tile_px=288, jpeg_quality=50)
    )

    weight_image: float = 0.75
    weight_genome: float = 0.90
    weight_shared: float = 0.55
    """Change of the log-hazard by one standard deviation of each factor, times ``effect_scale``."""
    effect_scale: float = 1.0
    """0: nothing predicts anything, and every honest model must be at C = 0.5."""

    weibull_shape: float = 1.3
    median_months: float = 40.0
    censored_share: float = 0.40

    nuclear_size: float = 0.10
    nuclear_density: float = 0.14
    """Log-change of nuclear radius and haematoxylin by one SD of *image*."""
    immune_bias: float = 1.4
    """Change of the immune niche's level by one SD of *shared*, in SDs of the niche fields."""
    cytoplasm_eosin: float = 0.40
    """Log-change of the cells' eosin by one SD of *shared*."""

    genes_a_signature: int = 10
    genome_genes: int = 20
    shared_genes: int = 14
    loading: tuple[float, float] = (0.45, 0.70)
    """Correlation of a gene with the factor that it follows; its square is the share of its variance explained."""
    cnv_genes: int = 20
    mutated_genes: int = 10
    site_count: int = 6

    def __post_init__(self) -> None:
        genes = 6 * self.genes_a_signature
        for name, ok, expected in (
            ("genome_genes", self.genome_genes + self.shared_genes <= genes, f"at most {genes} with shared_genes"),
            ("censored_share", 0 < self.censored_share < 1, "a share between 0 and 1"),
            ("loading", 0 <= self.loading[0] <= self.loading[1] < 1, "two correlations in ascending order"),
            ("cohorts", all(size >= 10 for _, size in self.cohorts), "at least ten patients each"),
        ):
            if not ok:
                raise UserError(f"{name} does not fit", where="TCGA phantom", expected=expected, remedy="change it")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


MINI_TCGA = TcgaSettings()
"""340 patients with slides of 144 µm: small enough to travel inside the repository."""

FULL_TCGA = TcgaSettings(
    profile="full",
    cohorts=(("brca", 400), ("luad", 300), ("coadread", 200)),
    slide=replace(MINI, profile="full", image_px=2048, pyramid_levels=3, jpeg_quality=80),
)

PRESETS = {"mini": MINI_TCGA, "full": FULL_TCGA}


def tcga_preset(name: str) -> TcgaSettings:
    """The preset of that name, or an error that suggests the nearest one."""
    return look_up(name, PRESETS, kind="phantom preset", where="TCGA phantom")
