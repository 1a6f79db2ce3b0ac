"""What a protocol of virtual staining is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageProtocol:
    """A question put to models that answer with images. A change that moves a score raises ``version``."""

    name: str
    version: str
    title: str
    question: str
    source: str
    target: str
    headline: str = "psnr"
    disjoint: tuple[str, ...] = ("patient",)
