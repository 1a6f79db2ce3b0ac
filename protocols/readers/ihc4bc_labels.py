"""Label files of IHC4BC: one row an image, of any number of columns.

Columns (the data set's own description): image name; what a person decided on looking at the DAB measurement ("a"
trusted, "0" set to zero by hand, "d" discarded); number of nuclei in the H&E patch; then the mean DAB of every nucleus
of the IHC patch. Names end in ``.png`` here even where the images were re-encoded as JPEG, so the ending is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocols.errors import UserError
from protocols.images.patch_images import SUFFIXES
from protocols.staining.cohort import DAB_MARKERS, FLAGS, PatchLabel, parse_dab


@dataclass(frozen=True)
class MarkerLabels:
    """Labels of one marker by image name, and for rows that could not be read why, by image name."""

    of_name: dict[str, PatchLabel] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def read_labels(root: Path, folder: str, marker: str) -> MarkerLabels | None:
    """All labels of a marker from the CSV files below ``root/folder`` that name it in their path.

    None for HER2 without any file: IHC4BC has no DAB measurement of a membrane. DAB values are checked and left in
    the files, so memory does not grow with the number of nuclei.
    """
    base = root / folder
    if not base.is_dir():
        raise UserError(
            "no folder of labels",
            where=base,
            expected="CSV files, one or more a marker",
            remedy="fetch the labels, or read the images without them (labels: none)",
        )
    files = label_files(base, marker)
    if not files:
        if marker not in DAB_MARKERS:
            return None
        raise UserError(
            f"no label file of {marker} among {len(_tables(base))} CSV files",
            where=base,
            expected=f"{marker} in the name of a file or folder, such as {marker}.csv",
            remedy="fetch the labels or leave the marker out",
        )
    labels, first = MarkerLabels(), dict[str, str]()
    for path in files:
        relative = path.relative_to(root).as_posix()
        for name, label, problem, line in _rows(path, relative):
            if name in first:
                raise UserError(
                    f"{name} has a second row (the first: {first[name]})",
                    where=f"{path}, line {line}",
                    expected="one row an image",
                    remedy="remove one",
                )
            first[name] = f"{path.name}, line {line}"
            if label is None:
                labels.unreadable[name] = problem
            else:
                labels.of_name[name] = label
    if labels.unreadable and not labels.of_name:
        name, problem = next(iter(labels.unreadable.items()))
        raise UserError(
            f"none of {len(labels.unreadable)} rows of {marker} can be read, e.g. {name}: {problem}",
            where=files[0],
            expected="rows of name, flag, number of H&E nuclei, DAB of each IHC nucleus",
            remedy="fetch the label files again",
        )
    return labels


def label_files(base: Path, marker: str) -> list[Path]:
    """The CSV files below a folder that name the marker in their path, sorted."""
    return [path for path in _tables(base) if names_marker(path.relative_to(base), marker)]


def _tables(base: Path) -> list[Path]:
    return sorted(path for path in base.rglob("*.csv") if not path.name.startswith("."))


def names_marker(path: Path, marker: str) -> bool:
    """Whether a folder or the file itself carries the marker as a word: ``ER/all.csv``, ``labels_ER.csv``, ``Her2``."""
    words = {word for part in (*path.parts[:-1], path.stem) for word in re.split(r"[^a-z0-9]+", part.lower())}
    return marker.lower() in words


def image_name(text: str) -> str:
    """An image's name without folders and image ending."""
    name = re.split(r"[/\\]", text.strip().strip('"'))[-1]
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in SUFFIXES else name


def _rows(path: Path, relative: str) -> Iterator[tuple[str, PatchLabel | None, str, int]]:
    """(image name, label or None, why not, line number) of every row; a first row without a known flag is a header."""
    offset = 0
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            start, offset = offset, offset + len(raw)
            fields = raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n").split(b",")
            if not any(one.strip() for one in fields):
                continue
            name = image_name(fields[0].decode("utf-8", errors="replace"))
            flag = fields[1].decode("utf-8", errors="replace").strip().lower() if len(fields) > 1 else ""
            if line == 1 and flag not in FLAGS:
                continue
            try:
                label = _label(fields, flag, relative, start, len(raw))
            except ValueError as error:
                yield name, None, str(error), line
            else:
                yield name, label, "", line


def _label(fields: list[bytes], flag: str, file: str, offset: int, length: int) -> PatchLabel:
    if flag not in FLAGS:
        raise ValueError(f"unknown flag {flag!r}")
    if len(fields) < 3 or not fields[2].strip():
        if flag == "d":  # nothing of a discarded patch is used
            return PatchLabel(flag, 0, 0, file, offset, length)
        raise ValueError("no number of H&E nuclei")
    number = float(fields[2])
    if not (number >= 0 and number == int(number)):
        raise ValueError(f"{number:g} H&E nuclei")
    return PatchLabel(flag, int(number), len(parse_dab(fields[3:])), file, offset, length)
