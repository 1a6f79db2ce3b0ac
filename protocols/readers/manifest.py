"""A cohort's manifest: a CSV with one line a slide, saying whose it is and which files hold it."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath

from protocols.errors import UserError, did_you_mean, refuse_unknown_keys
from protocols.expression.cohort import SlideEntry
from protocols.identity.known import known
from protocols.readers.readers import manifest_columns, slide_reader
from protocols.task import Reader

IDENTITY = ("slide", "patient", "cancer")


def read_manifest(path: Path, root: Path, reader: str) -> list[SlideEntry]:
    """The slides of ``path``, in its order; every file named is there, none has been opened.

    Columns: ``slide`` (unique), ``patient`` (empty, "unknown" or the like: None), ``cancer``, one per role of the
    reader's files (paths relative to ``root``, with ``/``) and one per option; empty cells of optional roles
    and options count as not given.
    """
    spec = slide_reader(reader)
    if not path.is_file():
        raise UserError(
            "the manifest is missing", where=path, expected="a CSV file", remedy="correct the cohort's manifest"
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, restkey="", strict=True)
        try:
            header = [name.strip() for name in rows.fieldnames or []]
            rows.fieldnames = header
            lines = [(rows.line_num, row) for row in rows]
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(
                f"no readable CSV ({error})", where=path, expected="UTF-8 CSV", remedy="save it so"
            ) from error
    _check_header(header, spec, path)
    if not lines:
        raise UserError("the manifest has no slides", where=path, expected="at least one row", remedy="add slides")
    entries = [_entry(row, spec, f"{path}, line {line}") for line, row in lines]
    _check_unique(entries, path)
    for entry in entries:
        for role, name in entry.files.items():
            if not (root / name).exists():
                raise UserError(
                    f"slide {entry.slide}: {role} {name!r} is missing",
                    where=path,
                    expected=f"it under {root}",
                    remedy="correct the path or the cohort's root",
                )
    return entries


def _check_header(header: list[str], spec: Reader, path: Path) -> None:
    refuse_unknown_keys(header, manifest_columns(spec), where=path)
    for name in (*IDENTITY, *spec.columns):
        if header.count(name) != 1:
            raise UserError(
                f"column {name!r} occurs {header.count(name)} times",
                where=path,
                expected=f"once each: {', '.join((*IDENTITY, *spec.columns))}",
                remedy=did_you_mean(name, header),
            )


def _entry(row: dict[str, str | None], spec: Reader, where: str) -> SlideEntry:
    if "" in row or None in row.values():
        raise UserError(
            "the row has more or fewer cells than the header", where=where, expected="as many", remedy="edit"
        )
    cells = {name: (text or "").strip() for name, text in row.items()}
    for name in ("slide", "cancer", *spec.columns):
        if not cells[name]:
            raise UserError(f"{name} is empty", where=where, expected=f"a {name}", remedy="fill it in")
    files = {role: cells[role] for role in (*spec.columns, *spec.optional_columns) if cells.get(role)}
    for role, name in files.items():
        if PurePosixPath(name).is_absolute() or "\\" in name or Path(name).is_absolute():
            raise UserError(
                f"{role} {name!r} is no relative path with /",
                where=where,
                expected="a path relative to the cohort's root",
                remedy="set the cohort's root and shorten the path",
            )
    return SlideEntry(
        slide=cells["slide"],
        patient=known(cells["patient"]),
        cancer=cells["cancer"],
        files=files,
        options={name: cells[name] for name in spec.option_columns if cells.get(name)},
    )


def _check_unique(entries: list[SlideEntry], path: Path) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.slide in seen:
            raise UserError(
                f"slide {entry.slide!r} occurs twice", where=path, expected="unique slide ids", remedy="rename one"
            )
        seen.add(entry.slide)
