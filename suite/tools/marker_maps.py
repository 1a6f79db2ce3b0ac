"""Maps of a slide, one channel a marker and one pixel a tile, as pyramidal OME-TIFF that QuPath opens.

Channels are planes of float32 in tiles, levels are SubIFDs (OME-TIFF 6.0). A map holds a value a tile of the slide, so
that it is 50,000 times smaller than the slide; it still lies in a file and not in memory while it grows. The bytes hold
no date, and the UUID comes from the values: same maps, same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.files import written_whole
from protocols.images.pyramid_writer import SUFFIXES, level_sizes

Planes = NDArray[np.float32]
TILE = 256
TISSUE = "tissue"
"""The last channel: 1 where a tile was asked, 0 on glass, where every marker is 0, too."""
_SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@contextmanager
def growing_maps(beside: Path, channels: int, rows: int, columns: int) -> Iterator[Planes]:
    """float32 zeros ``(channels, rows, columns)`` in a file beside ``beside`` that goes away whatever happens."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=beside.parent, prefix=".maps-") as folder:
        planes = np.lib.format.open_memmap(
            Path(folder) / "maps.npy", mode="w+", dtype=np.float32, shape=(channels, rows, columns)
        )
        yield planes
        del planes


def write_maps(path: Path, planes: Planes, names: Sequence[str], *, um: float, title: str = "") -> int:
    """Write ``planes`` ``(channels, rows, columns)``, whose last one is :data:`TISSUE`; the file's size in bytes.

    ``um``: the side of a tile, and so of a pixel, in µm. A lower level is the mean over those of 2 x 2 pixels that are
    tissue. One plane is in memory at a time.
    """
    import tifffile

    if not path.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"the name {path.name!r}", where=path, expected=f"a name ending in {SUFFIXES[0]}", remedy="rename it"
        )
    channels, rows, columns = planes.shape
    sizes = level_sizes(columns, rows, TILE)
    with written_whole(path) as part, tifffile.TiffWriter(part, ome=False) as tiff:
        xml = _ome_xml(names, columns, rows, um, title or path.name, _uuid(planes, names, um))
        for channel in range(channels):
            below = _lower_levels(planes, channel, len(sizes) - 1)
            first = {"description": xml} if channel == 0 else {}
            _write_plane(tiff, np.asarray(planes[channel]), um, subifds=len(sizes) - 1, **first)
            for level, lower in enumerate(below, start=1):
                _write_plane(tiff, lower, um * 2**level, subfiletype=1)
    return path.stat().st_size


def _write_plane(tiff: object, plane: Planes, um: float, **place: object) -> None:
    tiff.write(  # type: ignore[attr-defined]
        plane,
        photometric="minisblack",
        tile=(TILE, TILE),
        compression="zlib",
        predictor=3,
        resolution=(1e4 / um,) * 2,
        resolutionunit="CENTIMETER",
        software=False,
        metadata=None,
        **place,
    )


def _lower_levels(planes: Planes, channel: int, number: int) -> list[Planes]:
    """Means over tissue alone: at the rim of the tissue a marker does not fade towards the glass."""
    weight, value = np.asarray(planes[-1], dtype=np.float64), np.asarray(planes[channel], dtype=np.float64)
    total = value * weight if channel != len(planes) - 1 else weight
    found = []
    for _ in range(number):
        total, weight = _summed(total), _summed(weight)
        if channel == len(planes) - 1:
            mean = (weight > 0).astype(np.float32)
        else:
            mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0).astype(np.float32)
        found.append(mean)
    return found


def _summed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = (side // 2 * 2 for side in plane.shape)
    inner = plane[:rows, :columns]
    found: NDArray[np.float64] = inner[::2, ::2] + inner[1::2, ::2] + inner[::2, 1::2] + inner[1::2, 1::2]
    return found


def _uuid(planes: Planes, names: Sequence[str], um: float) -> str:
    digest = hashlib.sha256(repr((tuple(names), um, planes.shape)).encode())
    for plane in planes:
        digest.update(np.ascontiguousarray(plane).data)
    return str(UUID(bytes=digest.digest()[:16], version=4))


def _ome_xml(names: Sequence[str], columns: int, rows: int, um: float, title: str, uuid: str) -> bytes:
    """Metadata of a picture of so many channels after the OME schema of June 2016."""
    channels = "".join(
        f'<Channel ID="Channel:0:{number}" Name={quoteattr(name)} SamplesPerPixel="1"/>'
        for number, name in enumerate(names)
    )
    data = "".join(
        f'<TiffData IFD="{number}" FirstC="{number}" FirstZ="0" FirstT="0" PlaneCount="1"/>'
        for number in range(len(names))
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_SPACE}" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="{_SPACE} {_SPACE}/ome.xsd" '
        f'UUID="urn:uuid:{uuid}" Creator="slide2omics"><Image ID="Image:0" Name={quoteattr(title)}>'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" SizeX="{columns}" SizeY="{rows}" '
        f'SizeC="{len(names)}" SizeZ="1" SizeT="1" BigEndian="false" PhysicalSizeX="{float(um)!r}" '
        f'PhysicalSizeXUnit="µm" PhysicalSizeY="{float(um)!r}" PhysicalSizeYUnit="µm">{channels}{data}'
        "</Pixels></Image></OME>"
    ).encode()
