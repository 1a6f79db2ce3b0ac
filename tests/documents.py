"""What the documents say, taken apart: fenced blocks, commands, names in backticks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("slide2omics", "dvc", "tox", "pytest", "cp", "python", "pip")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TICKS = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Said:
    """A piece of a document. ``fenced``: it stands in a block that a reader may copy whole."""

    page: str
    text: str
    language: str = ""
    fenced: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def pages() -> list[Path]:
    """README and every page."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str | None = None) -> list[Said]:
    found = [
        Said(path.name, text, kind, True) for path in pages() for kind, text in _FENCE.findall(path.read_text("utf-8"))
    ]
    return found if language is None else [one for one in found if one.language == language]


def ticks() -> list[Said]:
    """Names in backticks, outside fenced blocks."""
    return [
        Said(path.name, text)
        for path in pages()
        for text in _TICKS.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))
    ]


def commands() -> list[Said]:
    """Command lines of fenced blocks, continued lines joined, and those in backticks."""
    return [
        *(line for block in blocks("") for line in _lines(block)),
        *(one for one in ticks() if _is_command(one.text)),
    ]


def words(command: Said) -> list[str]:
    return shlex.split(command.text, comments=True)


def _lines(block: Said) -> Iterator[Said]:
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            if _is_command(part):
                yield Said(block.page, part.strip(), fenced=True)


def _is_command(text: str) -> bool:
    first, _, rest = text.strip().partition(" ")
    return first in COMMANDS and bool(rest)
