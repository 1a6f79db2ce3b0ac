"""``slide2omics features``: slides to files of tile features and super-tiles, as SEQUOIA's released code reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from protocols.contract import Settings

SlidePaths = Annotated[list[Path], typer.Argument(metavar="SLIDE...", help="images of slides")]
Encoder = Annotated[str, typer.Option(help="resnet50, uni, or another of the encoder table")]
Out = Annotated[Path, typer.Option(help="folder to write: OUT/PROJECT/NAME/NAME.h5")]
TileUm = Annotated[float, typer.Option(help="side of a tile in µm", min=1.0)]
Pixels = Annotated[int, typer.Option(help="pixels along a tile's side", min=8)]
Tissue = Annotated[str, typer.Option(help="tissue rule: sequoia_paper, sequoia_released, saturation, otsu, all")]
MaxTiles = Annotated[int, typer.Option(help="tiles drawn at most from a slide", min=1)]
SuperTiles = Annotated[int, typer.Option(help="super-tiles of a slide (K of k-means)", min=1)]
Project = Annotated[str, typer.Option(help="folder of these slides under OUT, as TCGA-BRCA")]
Mpp = Annotated[float | None, typer.Option(help="µm per pixel of all slides, in place of what the files say", min=0.01)]


def features(
    slides: SlidePaths,
    encoder: Encoder,
    out: Out,
    tile_um: TileUm = 128.0,
    pixels: Pixels = 256,
    tissue: Tissue = "sequoia_paper",
    max_tiles: MaxTiles = 4000,
    super_tiles: SuperTiles = 100,
    project: Project = "slides",
    mpp: Mpp = None,
) -> None:
    """Tile slides, embed the tiles, group them by k-means and write one HDF5 file a slide, as SEQUOIA's code does.

    Profile, seed, device and weights are those of params.yaml, where there is one. Files that are there are kept.
    """
    from baselines.encoders.entries import weights_of
    from protocols.settings import TileSettings
    from suite.tools.feature_files import write_features

    settings = _settings(encoder)
    if weights_of(encoder, settings) is None:
        typer.echo(f"{encoder}: random weights (profile {settings.profile}); params.yaml names real ones under weights")
    tile = TileSettings(um=tile_um, pixels=pixels, max_tiles=max_tiles, tissue=tissue)
    files = write_features(
        slides, out, encoder=encoder, tile=tile, super_tiles=super_tiles, settings=settings, project=project, mpp=mpp
    )
    for file in files:
        typer.echo(f"{file}: {_counts(file)}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("features")(features)


def _settings(encoder: str) -> Settings:
    from suite.config import PARAMS_FILE, read_config, resolve_device

    return read_config().settings(encoder) if PARAMS_FILE.exists() else Settings(device=resolve_device("auto"))


def _counts(file: Path) -> str:
    from protocols.readers.checks import open_h5

    with open_h5(file, "file of features") as content:
        found = content.attrs
        short = f", {found['absent_super_tiles']} super-tiles are empty" if found["absent_super_tiles"] else ""
        return f"{found['tiles']} tiles of {found['tiles_of_tissue']} with tissue ({found['tissue_rule']}){short}"
