"""Spatial Transcriptomics and Visium as plain tables: counts (spots × genes), spot positions, and an image.

Two layouts of the spot table are known by their columns: ST's selection file (``x, y, new_x, new_y, pixel_x,
pixel_y, selected``; a spot's id is "XxY") and Visium's (barcode first; ``row, col`` and pixel columns).
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from protocols.errors import UserError
from protocols.expression.cohort import SlideData, SlideEntry
from protocols.images.image import open_image
from protocols.readers import arrays, checks
from protocols.readers.assemble import agreed_mpp, build_slide

PIXEL_COLUMNS = (
    ("pixel_x", "pixel_y"),
    ("px_col", "px_row"),
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("imagecol", "imagerow"),
)
"""Pairs of (x, y) columns in order of preference; the options x_column and y_column name others."""


@dataclass(frozen=True)
class Spots:
    """Ids, pixels before ``pixel_scale``, and grid positions in µm (None where the table has no grid)."""

    ids: NDArray[np.str_]
    xy: NDArray[np.float64]
    grid_um: NDArray[np.float64] | None


def read(entry: SlideEntry, root: Path) -> SlideData:
    """One section.

    Only spots that both tables have are kept; how many were not is noted. Options: ``pixel_scale`` multiplies
    the table's pixels (an image that was shrunk: 2000/6954); ``mpp``, else the array's pitch gives it
    (``pitch_um``; 200 for ST, 100 for Visium); ``x_column``, ``y_column``.
    Genes: HTSeq's ``__ambiguous[...]``, ``__no_feature`` and the like are no genes and are left out; Ensembl ids
    stay as they are unless the role ``gene_names`` (two columns: id, symbol; no header) translates them.
    """
    counts_path, spots_path, image = (root / entry.files[role] for role in ("counts", "spots", "image"))
    spots = _read_spots(checks.require_file(spots_path, "spots"), entry)
    table, names, transposed = _read_counts(checks.require_file(counts_path, "counts"), spots.ids)
    checks.require_unique(spots.ids, "spot", where=spots_path)
    table_ids = checks.as_text(table.index)
    checks.require_unique(table_ids, "spot", where=counts_path)
    both = np.isin(table_ids, spots.ids)
    place = pd.Index(spots.ids).get_indexer(pd.Index(table_ids[both]))
    xy = spots.xy[place] * (checks.option_number(entry, "pixel_scale", 1.0) or 1.0)
    genes, kept, gene_notes = _genes(names, entry, root)
    with open_image(checks.require_file(image, "image")) as slide:
        size, image_mpp = (slide.width, slide.height), slide.mpp
    mpp, mpp_notes = _mpp(entry, spots, place, xy, image_mpp, where=spots_path)
    lost_counts, lost_spots = int((~both).sum()), len(spots.ids) - len(np.unique(place))
    lost = (f"{lost_counts} spots have counts but no position, {lost_spots} a position but no counts: left out",)
    return build_slide(
        entry,
        unit="spot",
        image=image,
        size=size,
        mpp=mpp,
        ids=table_ids[both],
        xy_px=xy,
        names=genes,
        counts=table.to_numpy()[both][:, kept],
        where=counts_path,
        notes=(
            *mpp_notes,
            *(lost if lost_counts or lost_spots else ()),
            *gene_notes,
            *(("the counts table has genes in rows; it was transposed",) if transposed else ()),
        ),
    )


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.suffixes or ".txt" in path.suffixes else ","


def _read_table(path: Path) -> tuple[list[str], pd.DataFrame]:
    """Header (without the corner cell) and body; repeated names survive, which pandas would rename."""
    separator = _separator(path)
    try:
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
            header = next(csv.reader(file, delimiter=separator), [])
        body = pd.read_csv(path, sep=separator, header=None, skiprows=1, index_col=0, low_memory=False)
    except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
        raise checks.damaged(path, "table", error) from error
    names = header[1:] if len(header) == body.shape[1] + 1 else header
    if len(names) != body.shape[1]:
        raise checks.damaged(path, "table", ValueError(f"{len(header)} names for {body.shape[1]} columns"))
    return names, body


def _read_counts(path: Path, spot_ids: NDArray[np.str_]) -> tuple[pd.DataFrame, list[str], bool]:
    """``(spots × genes, gene names, transposed)``; the axis that carries the spots' ids is the spots' axis."""
    names, body = _read_table(path)
    in_rows = int(np.isin(checks.as_text(body.index), spot_ids).sum())
    in_columns = int(np.isin(np.array(names, str), spot_ids).sum())
    if in_rows == in_columns == 0:
        raise UserError(
            f"no spot of the spot table has counts (e.g. {str(body.index[0]) if len(body) else 'none'!r}"
            f" here, {str(spot_ids[0]) if len(spot_ids) else 'none'!r} there)",
            where=path,
            expected="the same spot ids in both tables",
            remedy="check that both belong to this section",
        )
    text = [name for name, kind in zip(names, body.dtypes, strict=True) if kind.kind not in "iufb"]
    if text:
        raise UserError(
            f"column {text[0]!r} holds text", where=path, expected="numbers only", remedy="remove annotation columns"
        )
    if in_rows >= in_columns:
        return body, names, False
    genes = [str(name) for name in body.index]
    turned = body.T
    turned.index = pd.Index(names)
    return turned, genes, True


def _read_spots(path: Path, entry: SlideEntry) -> Spots:
    try:
        frame = pd.read_csv(path, sep=_separator(path))
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise checks.damaged(path, "table", error) from error
    columns = [str(name) for name in frame.columns]
    if "selected" in columns:
        frame = frame[frame["selected"] == 1]
    pair = (entry.options.get("x_column", ""), entry.options.get("y_column", ""))
    if not all(pair):
        known = [names for names in PIXEL_COLUMNS if set(names) <= set(columns)]
        pair = known[0] if known else PIXEL_COLUMNS[0]
    checks.require_columns(columns, pair, where=path)
    xy = frame[list(pair)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    if {"x", "y"} <= set(columns):
        id_x, id_y = checks.as_text(frame["x"]), checks.as_text(frame["y"])
        ids = np.array([f"{x}x{y}" for x, y in zip(id_x, id_y, strict=True)], str)
        # new_x, new_y are where the spots really were printed; x, y are rounded.
        exact = ["new_x", "new_y"] if {"new_x", "new_y"} <= set(columns) else ["x", "y"]
        pitch = checks.option_number(entry, "pitch_um", arrays.ST_PITCH_UM) or arrays.ST_PITCH_UM
        return Spots(ids, xy, arrays.square_grid_um(frame[exact].to_numpy(np.float64), pitch))
    ids = checks.as_text(frame.iloc[:, 0])
    for grid in (["col", "row"], ["array_col", "array_row"]):
        if set(grid) <= set(columns):
            pitch = checks.option_number(entry, "pitch_um", arrays.VISIUM_PITCH_UM) or arrays.VISIUM_PITCH_UM
            return Spots(ids, xy, arrays.hexagonal_grid_um(frame[grid].to_numpy(np.float64), pitch))
    return Spots(ids, xy, None)


def _mpp(
    entry: SlideEntry,
    spots: Spots,
    place: NDArray[np.integer],
    xy: NDArray[np.float64],
    image_mpp: float | None,
    *,
    where: Path,
) -> tuple[float | None, tuple[str, ...]]:
    """The option, else the array's pitch, else the image's own; a disagreement above 5 % is noted."""
    given = checks.option_number(entry, "mpp")
    finite = np.isfinite(xy).all(axis=1)
    if spots.grid_um is None or (given is not None and finite.sum() < 3):
        return given if given is not None else image_mpp, ()
    if given is None:
        scale = arrays.fit_scale(spots.grid_um[place][finite], xy[finite], where=where)
        return scale.mpp, (
            *scale.notes(),
            *agreed_mpp(scale.mpp, image_mpp, given_by="the array", measured_by="the image"),
        )
    try:
        measured = arrays.fit_scale(spots.grid_um[place][finite], xy[finite], where=where).mpp
    except UserError:  # mpp is given; the pitch was only asked for a second opinion
        return given, ()
    return given, agreed_mpp(given, measured, given_by="the manifest", measured_by="the array's pitch")


def _genes(names: list[str], entry: SlideEntry, root: Path) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """Names and columns of the genes that are kept, and notes on those that are not."""
    real = np.array([not name.startswith("__") for name in names], bool)
    notes = [f"{int((~real).sum())} columns such as __ambiguous[...] are no genes: left out"] if (~real).any() else []
    kept = np.flatnonzero(real)
    chosen = [names[column] for column in kept]
    if "gene_names" in entry.files:
        path = checks.require_file(root / entry.files["gene_names"], "gene_names")
        table = pd.read_csv(path, sep=_separator(path), header=None, usecols=[0, 1], dtype=str).dropna()
        symbols = dict(zip(table[0].str.split(".").str[0], table[1], strict=True))
        known = [name in set(table[1]) or name.split(".")[0] in symbols for name in chosen]
        if not any(known):
            raise UserError(
                f"none of {len(chosen)} gene ids is known, e.g. {chosen[0] if chosen else 'none'!r}",
                where=path,
                expected="ids of the counts table in its first column",
                remedy="give the annotation that the counts were made with",
            )
        if not all(known):
            notes.append(f"{known.count(False)} gene ids are unknown to gene_names: left out")
        kept = kept[np.array(known)]
        chosen = [symbols.get(n.split(".")[0], n) for n, is_known in zip(chosen, known, strict=True) if is_known]
    ensembl = sum(name.startswith("ENSG") for name in chosen)
    if 0 < ensembl < len(chosen):
        notes.append(f"{ensembl} of {len(chosen)} genes are named by Ensembl id, the others by symbol")
    return chosen, kept, tuple(notes)
