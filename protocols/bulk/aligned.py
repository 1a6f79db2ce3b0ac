"""Puts a table of slides in the order of those who were asked; refuses what is not whole."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from protocols.contract import FloatArray
from protocols.declared import HOW, refuse_holes
from protocols.errors import UserError
from protocols.float32 import as_float32


def aligned(
    table: pd.DataFrame, slides: list[str], genes: tuple[str, ...], where: str, declared: Collection[str] = ()
) -> FloatArray:
    """Values ``(slides, genes)`` in the order asked for; refuses missing columns, slides and what is not a number.

    ``declared``: slides that were declared missing; they, and no others, have no value at all (NaN).
    """
    remedy = f"hand in one row a slide, one column a gene; {HOW}"
    if "slide" not in table.columns:
        raise UserError("no column 'slide'", where=where, expected="slide and genes", remedy=remedy)
    missing = [gene for gene in genes if gene not in table.columns]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(genes)} genes missing, first {missing[0]}", where=where,
            expected="every gene of the cohort", remedy=remedy,
        )  # fmt: skip
    given = table["slide"].astype(str)
    if given.duplicated().any():
        twice = given[given.duplicated()].iloc[0]
        raise UserError(f"slide {twice} twice", where=where, expected="each once", remedy=remedy)
    for found, other, what in ((set(given), set(slides), "are not test slides"), (set(slides), set(given), "missing")):
        odd = sorted(found - other)
        if odd:
            raise UserError(
                f"{len(odd)} slides {what}, first {odd[0]}", where=where, expected="the fold's test slides",
                remedy="see `slide2omics units` for what is tested where",
            )  # fmt: skip
    values = table.assign(slide=given).set_index("slide").loc[slides, list(genes)]
    if not all(pd.api.types.is_numeric_dtype(kind) for kind in values.dtypes):
        raise UserError("a gene is not numeric", where=where, expected="numbers", remedy=remedy)
    array = as_float32(values.to_numpy())
    refuse_holes(array, genes, slides, declared, where=where, remedy=remedy)
    return array
