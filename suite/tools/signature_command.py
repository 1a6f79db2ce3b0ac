"""``slide2omics signature``: the options of :func:`suite.tools.signature.run_signature` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protocols.errors import UserError

if TYPE_CHECKING:
    from suite.tools.signature_inputs import CohortFiles

EXTERNAL = "NAME=EXPRESSION,OUTCOME[,COVARIATES]"


def signature(
    expression: Annotated[Path, typer.Option(help="table of discovery patients, one column a gene, log2(v + 1)")],
    outcome: Annotated[Path, typer.Option(help="table: patient, time, event, optional unit")],
    out: Annotated[Path, typer.Option(help="folder to write")],
    covariates: Annotated[Path | None, typer.Option(help="table to adjust for")] = None,
    name: Annotated[str, typer.Option(help="what the discovery cohort is called")] = "discovery",
    candidates: Annotated[Path | None, typer.Option(help="genes that may be chosen, a symbol a line")] = None,
    predicted: Annotated[Path | None, typer.Option(help="out-of-fold predictions of the same patients")] = None,
    external: Annotated[list[str] | None, typer.Option(help=f"{EXTERNAL}; may be repeated")] = None,
    own_scale: Annotated[list[str] | None, typer.Option(help="a cohort whose genes are scaled within it")] = None,
    log2: Annotated[bool, typer.Option("--log2", help="measured expression is v, to be taken as log2(v + 1)")] = False,
    rule: Annotated[str, typer.Option(help="min or one_standard_error")] = "min",
    top: Annotated[int, typer.Option(min=1, help="best predicted genes that may be chosen")] = 5000,
    folds: Annotated[int, typer.Option(min=2, help="folds of the penalty")] = 5,
    outer_folds: Annotated[int, typer.Option(min=2, help="folds that the risks are out of")] = 5,
    standardise: Annotated[bool, typer.Option(help="scale genes before fitting")] = True,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Fit a prognostic signature (LASSO-Cox) and judge it where it was fitted and where it was not."""
    from suite.tools.signature import Options, run_signature
    from suite.tools.signature_inputs import CohortFiles

    found = run_signature(
        CohortFiles(name, expression, outcome, covariates, log2=log2),
        out,
        candidates=candidates,
        predicted=predicted,
        external=[external_cohort(text, log2=log2) for text in external or []],
        options=Options(
            seed=seed,
            rule=rule,
            folds=folds,
            outer_folds=outer_folds,
            standardise=standardise,
            top=top,
            own_scale=tuple(own_scale or ()),
        ),
    )
    genes = found.signature.genes
    typer.echo(f"{len(genes)} genes: {', '.join(genes[:10])}{' …' * (len(genes) > 10)}" if genes else "no gene chosen")
    for one in found.evaluations:
        c = "undefined" if one.c_index is None else f"{one.c_index:.3f}"
        typer.echo(f"  {one.name}: C-index {c}, {one.n} patients, {one.events} events")
    typer.echo(f"table: {out / 'signature.md'}")


def external_cohort(text: str, *, log2: bool) -> CohortFiles:
    """One ``NAME=EXPRESSION,OUTCOME[,COVARIATES]``."""
    from suite.tools.signature_inputs import CohortFiles

    name, equals, rest = text.partition("=")
    paths = [Path(part) for part in rest.split(",") if part]
    if not (name and equals and len(paths) in (2, 3)):
        raise UserError(f"{text!r}", where="--external", expected=EXTERNAL, remedy="name the cohort and its tables")
    return CohortFiles(name, paths[0], paths[1], paths[2] if len(paths) == 3 else None, log2=log2)
