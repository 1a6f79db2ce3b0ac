"""The H&E image as a pyramidal OME-TIFF: JPEG tiles, sub-resolutions as SubIFDs, no date and no random id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def halved(image: Image) -> Image:
    """Mean of 2 x 2 pixels, rounded; an odd last row or column is dropped."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    blocks = image[:height, :width].astype(np.uint32).reshape(height // 2, 2, width // 2, 2, 3)
    return np.asarray((blocks.sum(axis=(1, 3)) + 2) // 4, dtype=np.uint8)


def ome_xml(width: int, height: int, mpp: float, uuid: str, name: str) -> str:
    """Metadata of one RGB image after the OME schema of June 2016."""
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{space}" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{space} {space}/ome.xsd" '
        f'UUID="urn:uuid:{uuid}" Creator="slide2omics phantom"><Image ID="Image:0" Name="{name}">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="3" '
        f'SizeZ="1" SizeT="1" Interleaved="true" PhysicalSizeX="{mpp}" PhysicalSizeXUnit="µm" '
        f'PhysicalSizeY="{mpp}" PhysicalSizeYUnit="µm"><Channel ID="Channel:0:0" SamplesPerPixel="3"/>'
        '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )


def write_he_image(
    path: Path, image: Image, *, mpp: float, levels: int, tile: int, quality: int, name: str, uuid: str
) -> None:
    """Write level 0 and ``levels - 1`` halvings of an RGB image."""
    import tifffile

    def options(level: int) -> dict[str, Any]:
        per_centimetre = 1e4 / (mpp * 2**level)
        return {
            "photometric": "rgb",
            "tile": (tile, tile),
            "compression": "jpeg",
            "compressionargs": {"level": quality},
            "resolution": (per_centimetre, per_centimetre),
            "resolutionunit": "CENTIMETER",
            "software": False,
            "metadata": None,
        }

    # Written by hand, because tifffile's own OME metadata would hold a new random UUID each time.
    xml = ome_xml(image.shape[1], image.shape[0], mpp, uuid, name).encode()
    with tifffile.TiffWriter(path, ome=False) as tif:
        tif.write(image, subifds=levels - 1, description=xml, **options(0))
        for level in range(1, levels):
            image = halved(image)
            tif.write(image, subfiletype=1, **options(level))
