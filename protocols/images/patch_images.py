"""JPEG and PNG patches: what their header says, whether they decode, and their pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from protocols.contract import CropArray
from protocols.errors import UserError
from protocols.readers import checks

SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_SIDE = 8192
"""Pixels. Patches are 3,000 px; anything far larger is a slide that lies in the wrong folder."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_RGB, PNG_RGBA = 2, 6
# Start-of-frame markers of JPEG, which carry bit depth, size and channels; C4, C8 and CC are tables, not frames.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

DAMAGED = "image damaged"
SIXTEEN_BIT = "16-bit image"
NOT_RGB = "not an RGB image"
TRANSPARENT = "transparent image"
TOO_LARGE = f"image wider or higher than {MAX_SIDE:,} px"


@dataclass(frozen=True)
class Header:
    """A file's own account of itself; ``problem`` is the reason to leave it out, None where there is none."""

    width: int
    height: int
    alpha: bool
    problem: str | None


def read_header(path: Path) -> Header:
    """Size and format from the first bytes; no pixel is decoded. Never raises for what is in the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(33)
        file.seek(max(0, size - 4096))
        end = file.read()
    if start.startswith(PNG_SIGNATURE) and start[12:16] == b"IHDR" and len(start) == 33:
        width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
        whole = b"IEND" in end
        channels_fit, alpha = colour in (PNG_RGB, PNG_RGBA), colour == PNG_RGBA
    elif start.startswith(b"\xff\xd8\xff"):
        frame = _jpeg_frame(path)
        if frame is None:
            return Header(0, 0, False, DAMAGED)
        bits, height, width, channels = frame
        whole, channels_fit, alpha = b"\xff\xd9" in end, channels == 3, False
    else:
        return Header(0, 0, False, DAMAGED)
    return Header(width, height, alpha, _problem(width, height, bits, channels_fit, whole))


def _problem(width: int, height: int, bits: int, channels_fit: bool, whole: bool) -> str | None:
    if not (whole and width and height):
        return DAMAGED
    if bits > 8:
        return SIXTEEN_BIT
    if not channels_fit or bits < 8:
        return NOT_RGB
    return TOO_LARGE if max(width, height) > MAX_SIDE else None


def _jpeg_frame(path: Path) -> tuple[int, int, int, int] | None:
    """(bits, height, width, channels) of the first frame header."""
    with path.open("rb") as file:
        file.seek(2)
        while True:
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF:
                return None
            if head[1] == 0xFF:  # a fill byte before the marker
                file.seek(-3, 1)
                continue
            length = struct.unpack(">H", head[2:])[0]
            if head[1] in FRAMES:
                frame = file.read(6)
                return struct.unpack(">BHHB", frame) if len(frame) == 6 else None
            if head[1] == 0xDA or length < 2:  # pixels begin without a frame
                return None
            file.seek(length - 2, 1)


def decode(path: Path) -> CropArray:
    """All pixels, uint8 RGB ``(height, width, 3)``, as stored (an EXIF orientation is not applied; alpha is dropped).

    Raises :class:`UserError` for a file that does not decode whole. JPEG has no checksum: bytes altered in the middle
    may decode to wrong pixels unnoticed; the store's SHA-256 is what tells.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise checks.damaged(path, "JPEG or PNG", error) from error


def is_opaque(path: Path) -> bool:
    """Whether an RGBA image hides nothing: alpha 255 everywhere. Raises :class:`UserError` as :func:`decode` does."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            lowest = image.getchannel("A").getextrema()[0]
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise checks.damaged(path, "PNG", error) from error
    return lowest == 255


def usable_header(path: Path) -> Header:
    """:func:`read_header`, and for RGBA also whether it is opaque: only then may alpha be dropped."""
    header = read_header(path)
    if header.problem is None and header.alpha:
        try:
            opaque = is_opaque(path)
        except UserError:
            return Header(header.width, header.height, True, DAMAGED)
        return header if opaque else Header(header.width, header.height, True, TRANSPARENT)
    return header
