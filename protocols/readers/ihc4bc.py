"""Reader of IHC4BC, paired H&E and IHC patches of breast cancer.

``Images/HandE/<marker>/…/<name>.jpg`` and the same path below ``Images/IHC``; the name is
``prefix_case_region_row_column`` and its case is the patient. Akbarnejad et al. 2023, arXiv:2308.01982, and the data
set's page for names and label files. Images are CC BY-NC-SA 4.0 and not shipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from protocols.errors import UserError, did_you_mean
from protocols.identity.known import known
from protocols.images.patch_images import DAMAGED, SUFFIXES, decode, usable_header
from protocols.readers.ihc4bc_labels import MarkerLabels, read_labels
from protocols.splits import Exclusion
from protocols.staining.cohort import STRIDE_SHARE, IhcCohort, PatchPair, counted, in_order, marker_of
from protocols.staining.filters import BLANK, FilterRules, is_blank

HE, IHC = "HandE", "IHC"
NAME = re.compile(r"(?P<prefix>.+)_(?P<case>[^_]*)_(?P<region>\d+)_(?P<row>\d+)_(?P<column>\d+)")
FOLDER = re.compile(r"patient_(?P<prefix>.+)_(?P<case>[^_]*)", re.IGNORECASE)
SUBREGION = re.compile(r"subregion_(?P<region>\d+)", re.IGNORECASE)

NO_IHC, NO_HE = "no IHC partner", "no H&E partner"
REPEATED = "several images of one name"
UNNAMED = "name is not prefix_case_region_row_column"
MISPLACED = "name and folder disagree"
SIZES = "H&E and IHC differ in size"
DISCARDED = "discarded by hand (flag d)"
NO_PATIENT, NO_LABEL, BAD_LABEL = "patient missing from labels", "patch missing from labels", "label cannot be read"
NO_IMAGE = "labelled, but no image"

Check = Literal["full", "headers"]
Named = tuple[PatchPair | None, Exclusion | None]


def read_ihc4bc(
    name: str,
    root: Path,
    *,
    images: str = "Images",
    labels: str | None = "Labels",
    markers: Sequence[str] = ("ER", "PR"),
    keep_discarded: bool = False,
    check: Check = "full",
    stride_share: float = STRIDE_SHARE,
    workers: int = 1,
) -> IhcCohort:
    """The pairs of some markers; every image that is not used is named in ``excluded`` with its reason.

    ``labels`` None: images alone. ``check`` "full" decodes every image, so that damaged and blank ones are found here;
    "headers" reads their first bytes and end marks, and a damaged image stops the run when it is first read.
    ``workers`` decode at a time; no pixels are kept. ``stride_share``: stride between neighbours over a patch's side.
    """
    if check not in ("full", "headers"):
        raise UserError(f"check {check!r}", where=name, expected="full or headers", remedy="correct the cohort")
    if not 0 < stride_share <= 1:
        raise UserError(
            f"stride_share {stride_share:g}", where=name, expected="a share of a side above 0", remedy="IHC4BC has 0.5"
        )
    wanted = list(dict.fromkeys(marker_of(marker, name) for marker in markers))
    base = root / images
    folders = {side: _marker_folders(root, base / side, wanted) for side in (HE, IHC)}
    patches: list[PatchPair] = []
    excluded: list[Exclusion] = []
    for marker in wanted:
        table = read_labels(root, labels, marker) if labels is not None else None
        found, left_out, present = _paired(marker, root, folders[HE][marker], folders[IHC][marker])
        if not found and not left_out:
            raise UserError(
                f"no image of {marker}",
                where=folders[HE][marker],
                expected=f"{', '.join(SUFFIXES)} files in folders of patients",
                remedy="fetch the images or leave the marker out",
            )
        kept, unlabelled = _labelled(marker, found, present, table, keep_discarded)
        with ThreadPoolExecutor(max(1, workers)) as pool:
            judged = list(pool.map(partial(_checked, root=root, full=check == "full"), kept))
        patches += [patch for patch, _ in judged if patch is not None]
        excluded += [*left_out, *unlabelled, *(one for _, one in judged if one is not None)]
    if not patches:
        reasons = ", ".join(f"{reason} {number}" for reason, number in counted(excluded).items())
        raise UserError(
            f"none of the patches can be used ({reasons})",
            where=base,
            expected="pairs of 8-bit RGB images with labels",
            remedy="see to the first reason",
        )
    return IhcCohort(name, root, in_order(patches), stride_share, tuple(excluded))


def image_files(root: Path, images: str, side: str, markers: Iterable[str]) -> list[Path]:
    """Every image of some markers on one side (:data:`HE` or :data:`IHC`), sorted; none where a folder is missing,
    which is for :func:`read_ihc4bc` to refuse."""
    present = _folders(root / images / side)
    wanted = (marker_of(marker, root).lower() for marker in markers)
    return sorted(path for marker in dict.fromkeys(wanted) if marker in present for path in _images(present[marker]))


def _marker_folders(root: Path, side: Path, markers: Iterable[str]) -> dict[str, Path]:
    """Each marker's folder, however its name is written ("Her2")."""
    if not side.is_dir():
        inner = next((path.parent.parent for path in sorted(root.glob(f"*/*/{side.name}")) if path.is_dir()), None)
        raise UserError(
            "no such folder",
            where=side,
            expected=f"Images/{HE} and Images/{IHC}, each with a folder a marker",
            remedy=f"name {inner} as the root" if inner else "correct the root of the cohort",
        )
    present = _folders(side)
    for marker in markers:
        if marker.lower() not in present:
            raise UserError(
                f"no folder of {marker}",
                where=side,
                expected=f"a folder {marker}",
                remedy=did_you_mean(marker, [path.name for path in present.values()]),
            )
    return {marker: present[marker.lower()] for marker in markers}


def _folders(side: Path) -> dict[str, Path]:
    """Folders by name in lower case; none where the side is missing."""
    return {path.name.lower(): path for path in sorted(side.iterdir()) if path.is_dir()} if side.is_dir() else {}


def _images(folder: Path) -> list[Path]:
    """Every image below a folder, sorted, less hidden files."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


@dataclass(frozen=True)
class _Listed:
    """Images of one side by path without ending, relative to the marker's folder; and repeated names."""

    files: dict[str, Path]
    repeated: frozenset[str]


def _listed(folder: Path) -> _Listed:
    files: dict[str, Path] = {}
    seen: set[str] = set()
    repeated: set[str] = set()
    for path in _images(folder):
        if path.stem in seen:
            repeated.add(path.stem)
        seen.add(path.stem)
        files[path.relative_to(folder).with_suffix("").as_posix()] = path
    return _Listed(files, frozenset(repeated))


def _paired(marker: str, root: Path, he: Path, ihc: Path) -> tuple[list[PatchPair], list[Exclusion], set[str]]:
    """Pairs by relative path, endings aside; what is none; and the names of all images.

    Labels are by name, so a name may occur only once a marker.
    """
    sides = _listed(he), _listed(ihc)
    repeated = sides[0].repeated | sides[1].repeated
    found, excluded, present = [], [], set()
    for key in sorted(sides[0].files.keys() | sides[1].files.keys()):
        stem = key.rpartition("/")[2]
        present.add(stem)
        reason = None
        if stem in repeated:
            reason = REPEATED
        elif key not in sides[1].files:
            reason = NO_IHC
        elif key not in sides[0].files:
            reason = NO_HE
        if reason is None:
            paths = (sides[0].files[key], sides[1].files[key])
            patch = _named(marker, key, *(path.relative_to(root).as_posix() for path in paths))
            if isinstance(patch, str):
                reason = patch
            else:
                found.append(patch)
                continue
        excluded.append(Exclusion(f"{marker} patch {stem}", reason))
    return found, excluded, present


def _named(marker: str, key: str, he: str, ihc: str) -> PatchPair | str:
    """The patch that a path speaks of, or why it does not."""
    *folders, stem = key.split("/")
    match = NAME.fullmatch(stem)
    if match is None:
        return UNNAMED
    for folder in folders:
        person, region = FOLDER.fullmatch(folder), SUBREGION.fullmatch(folder)
        if person and (person["prefix"], person["case"]) != (match["prefix"], match["case"]):
            return MISPLACED
        if region and int(region["region"]) != int(match["region"]):
            return MISPLACED
    case = match["case"].strip()
    return PatchPair(
        marker,
        stem,
        known(case) or "",
        f"{match['prefix']}_{case}_{int(match['region'])}",
        int(match["row"]),
        int(match["column"]),
        he,
        ihc,
        0,
        0,
    )


def _labelled(
    marker: str, patches: Sequence[PatchPair], present: set[str], labels: MarkerLabels | None, keep_discarded: bool
) -> tuple[list[PatchPair], list[Exclusion]]:
    if labels is None:
        return list(patches), []
    matches = map(NAME.fullmatch, (*labels.of_name, *labels.unreadable))
    cases = {match["case"].strip() for match in matches if match}
    kept, excluded = [], []
    for patch in patches:
        label = labels.of_name.get(patch.name)
        detail = ""
        if label is not None and (label.flag != "d" or keep_discarded):
            kept.append(replace(patch, label=label))
            continue
        if label is not None:
            reason = DISCARDED
        elif patch.name in labels.unreadable:
            reason, detail = BAD_LABEL, f" ({labels.unreadable[patch.name]})"
        else:
            reason = NO_LABEL if patch.patient in cases else NO_PATIENT
        excluded.append(Exclusion(f"{marker} patch {patch.name}{detail}", reason))
    missing = [one for one, label in labels.of_name.items() if label.flag != "d" and one not in present]
    if missing:
        excluded.append(Exclusion(f"{marker}: {len(missing)} labels, first {missing[0]}", NO_IMAGE))
    return kept, excluded


def _checked(patch: PatchPair, *, root: Path, full: bool) -> Named:
    """The patch with its size, or why it cannot be used."""
    leave_out: Callable[[str, str], Named] = lambda reason, detail: (  # noqa: E731
        None,
        Exclusion(f"{patch.marker} patch {patch.name} ({detail})", reason),
    )
    headers = []
    for side, path in (("H&E", patch.he), ("IHC", patch.ihc)):
        header = usable_header(root / path)
        if header.problem is not None:
            return leave_out(header.problem, side)
        headers.append(header)
    (width, height), other = (headers[0].width, headers[0].height), (headers[1].width, headers[1].height)
    if (width, height) != other:
        return leave_out(SIZES, f"{width} × {height} and {other[0]} × {other[1]}")
    for side, path in (("H&E", patch.he), ("IHC", patch.ihc)) if full else ():
        try:
            pixels = decode(root / path)
        except UserError:
            return leave_out(DAMAGED, side)
        if is_blank(pixels, FilterRules()):
            return leave_out(BLANK, side)
    return replace(patch, width=width, height=height), None
