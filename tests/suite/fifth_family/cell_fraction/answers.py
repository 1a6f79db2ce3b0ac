"""A fold's answers: slide and fraction, checked whoever gave them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from protocols.errors import UserError
from protocols.task import Question


def fold_file(number: int) -> str:
    return f"{number}.csv"


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"slide": str})


def checked(answer: object, slides: Sequence[str], where: str) -> pd.DataFrame:
    array = np.asarray(answer, dtype=np.float64)
    if array.shape != (len(slides),) or not np.isfinite(array).all():
        raise UserError(
            f"an answer {array.shape}", where=where, expected=f"{len(slides)} finite fractions", remedy="mend predict"
        )
    return pd.DataFrame({"slide": list(slides), "fraction": array})


def lay_out(question: Question, table: pd.DataFrame, folder: Path, where: str) -> None:
    if "fraction" not in table.columns:
        raise UserError("no column 'fraction'", where=where, expected="slide, fraction", remedy="add it")
    slides = question.cohort.store.table["slide"].to_numpy()
    given = table.drop_duplicates("slide").set_index("slide")["fraction"]
    if len(given) < len(table) or set(given.index) != set(slides):
        odd = sorted(set(given.index) ^ set(slides)) or ["a slide twice"]
        raise UserError(f"not each slide once: {odd[0]}", where=where, expected="every slide once", remedy="mend it")
    for number, fold in enumerate(question.split.folds):
        tested = slides[fold.test]
        checked(given[tested], tested, where).to_csv(folder / fold_file(number), index=False)


def units(question: Question) -> Iterator[pd.DataFrame]:
    table = question.cohort.store.table
    for fold in question.split.folds:
        for role, rows in fold.roles().items():
            part = table.iloc[rows][["slide", "patient"]].assign(fold=fold.name, role=role)
            yield part.assign(fraction=table["fraction"].iloc[rows] if role == "train" else "")
