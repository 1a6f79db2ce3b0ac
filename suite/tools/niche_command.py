"""``slide2omics niches``: who lies beside whom in tables of cells, by patient, and against an outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocols.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from protocols.metrics.column_association import Association
    from suite.tools.niche_inputs import Columns, SlideCells
    from suite.tools.niches import NicheRun


def niches_command(
    cells: Annotated[Path, typer.Argument(help="table of cells, or a manifest: slide, patient, table")],
    out: Annotated[Path, typer.Option(help="CSV to write, one row a patient and pair")],
    markers: Annotated[str | None, typer.Option(help="CD8,CD4,…; every numeric column")] = None,
    pairs: Annotated[str | None, typer.Option(help="CD8:CD4,CD163:CD66b,…; all, each with itself, too")] = None,
    radius_um: Annotated[float, typer.Option(help="two cells nearer than this are neighbours")] = 30.0,
    mpp: Annotated[float | None, typer.Option(help="micrometres per unit of the coordinates")] = None,
    x_column: Annotated[str | None, typer.Option(help="column of x, where it is not found")] = None,
    y_column: Annotated[str | None, typer.Option(help="column of y")] = None,
    positive: Annotated[str, typer.Option(help="gmm, percentile:90, or gates: CD8=1200,CD4=300")] = "gmm",
    gates_from_all: Annotated[bool, typer.Option("--gates-from-all", help="one gate a marker for all slides")] = False,
    block_um: Annotated[float | None, typer.Option(help="permute within squares of this side")] = None,
    permutations: Annotated[int, typer.Option(min=1)] = 500,
    least_positives: Annotated[int, typer.Option(min=1, help="positive cells below which a pair is undefined")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    patients_out: Annotated[Path | None, typer.Option(help="CSV to write, one row a patient: proteins")] = None,
    outcome: Annotated[Path | None, typer.Option(help="table of patients to set the columns against")] = None,
    time_column: Annotated[str, typer.Option(help="of the outcome")] = "time",
    event_column: Annotated[str, typer.Option(help="of the outcome, 1 seen, 0 censored")] = "event",
    response_column: Annotated[str | None, typer.Option(help="of the outcome, 0 or 1; in place of follow-up")] = None,
    association_out: Annotated[Path | None, typer.Option(help="CSV to write, one row a column")] = None,
) -> None:
    """Which marker-positive cells lie beside each other more, or less, than random labels would."""
    from protocols.files import write_text_whole
    from protocols.metrics.positivity import read_rule
    from suite.tools.niche_inputs import Columns, read_follow_up, read_response
    from suite.tools.niche_report import association_csv, association_lines, niche_csv, run_lines
    from suite.tools.niches import Options, run_niches

    if not radius_um > 0 or (mpp is not None and not mpp > 0) or (block_um is not None and not block_um > 0):
        raise UserError("a length that is not above 0", where="niches", expected="micrometres", remedy="mend it")
    if outcome is None and (association_out is not None or response_column is not None):
        raise UserError("no outcome", where="niches", expected="--outcome", remedy="name the table of outcomes")
    options = Options(
        radius_um=radius_um,
        rule=read_rule(positive),
        permutations=permutations,
        seed=seed,
        block_um=block_um,
        pairs=None if pairs is None else read_pairs(pairs),
        least_positives=least_positives,
        gates_from_all=gates_from_all,
    )
    response = follow_up = None
    notes: tuple[str, ...] = ()
    if outcome is not None and response_column is not None:
        response = read_response(outcome, response_column)
    elif outcome is not None:
        follow_up, notes = read_follow_up(outcome, time_column, event_column)
    named = () if markers is None else _list(markers, "--markers")
    found = run_niches(_tables(cells, named, Columns(x_column or "", y_column or "", mpp)), options)
    rows, said = ([], notes) if outcome is None else _associated(found, follow_up, response, outcome)
    write_text_whole(out, niche_csv(found))
    for line in run_lines(found, options):
        typer.echo(line)
    if patients_out is not None:
        table = found.table()
        write_text_whole(patients_out, table.to_csv(lineterminator="\n"))
        typer.echo(f"proteins of {len(table)} patients, {len(table.columns)} columns: {patients_out}")
    if outcome is not None:
        for line in (*notes, *said, *association_lines(rows)):
            typer.echo(line)
    if association_out is not None:
        write_text_whole(association_out, association_csv(rows))
    typer.echo(f"table: {out}")


def _tables(cells: Path, markers: Sequence[str], columns: Columns) -> Iterator[SlideCells]:
    from protocols.progress import track
    from suite.tools.niche_inputs import is_manifest, read_cells, read_manifest

    if not is_manifest(cells):
        name = cells.name.split(".")[0]
        yield read_cells(cells, slide=name, patient=name, markers=markers, columns=columns)
        return
    for slide, patient, path in track(read_manifest(cells), "slides"):
        yield read_cells(path, slide=slide, patient=patient, markers=markers, columns=columns)


def _associated(
    found: NicheRun, follow_up: pd.DataFrame | None, response: pd.Series[bool] | None, outcome: Path
) -> tuple[list[Association], tuple[str, ...]]:
    from protocols.metrics.column_association import with_follow_up, with_response

    table = found.table()
    known = set() if response is None else set(response.index)
    known |= set() if follow_up is None else set(follow_up.index)
    both = [patient for patient in table.index if patient in known]
    if not both:
        raise UserError(
            "no patient has both cells and an outcome", where=outcome,
            expected=f"patients such as {table.index[0]}", remedy="use the same patient ids in both",
        )  # fmt: skip
    said = tuple(
        f"{number} patients without {what} left out of the association"
        for what, number in (("an outcome", len(table) - len(both)), ("cells", len(known) - len(both)))
        if number
    )
    rows: list[Association] = []
    if response is not None:
        rows = with_response(table.loc[both], response.loc[both].to_numpy(bool))
    elif follow_up is not None:
        kept = follow_up.loc[both]
        rows = with_follow_up(table.loc[both], kept["time"].to_numpy(float), kept["event"].to_numpy(bool))
    return rows, said


def read_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``CD8:CD4,CD163:CD163``; a colon, because names of markers hold dashes."""
    found = []
    for part in _list(text, "--pairs"):
        one, colon, other = (word.strip() for word in part.partition(":"))
        if not (one and colon and other):
            raise UserError(f"{part!r}", where="--pairs", expected="A:B", remedy="such as CD8:CD4,CD163:CD163")
        found.append((one, other))
    if len({frozenset(pair) for pair in found}) < len(found):
        raise UserError("a pair twice", where="--pairs", expected="each once, in either order", remedy="drop one")
    return tuple(found)


def _list(text: str, where: str) -> list[str]:
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise UserError("no name", where=where, expected="names, commas between them", remedy="name some")
    return found
