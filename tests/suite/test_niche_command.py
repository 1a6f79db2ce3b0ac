"""``slide2omics niches``: tables in, tables out, what it says on the way, and its refusals, on the command line."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from protocols.errors import UserError
from suite.cli import app
from suite.tools.niche_command import niches_command, read_pairs
from suite.tools.niches import Options

GATES = "CD8=100,CD4=100,CD163=100"


def cells(folder: Path, name: str, together: bool, seed: int, n: int = 300) -> str:
    """CD8 and CD4 share a corner where ``together``; CD163 lies anywhere."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 400, (n, 2))
    near = np.hypot(*xy.T) < 200
    share = np.where(near, 0.8, 0.1) if together else np.full(n, 0.25)
    table = pd.DataFrame({"CellID": range(n), "X_centroid": xy[:, 0], "Y_centroid": xy[:, 1], "Area": 50.0})
    for marker, positive in (("CD8", share), ("CD4", share), ("CD163", np.full(n, 0.2))):
        table[marker] = np.where(rng.random(n) < positive, 200.0, 20.0) + rng.uniform(0, 5, n)
    table.to_csv(folder / name, index=False)
    return name


def cohort(folder: Path, patients: int = 24) -> Path:
    """Patients in whose slides CD8 and CD4 lie together do well; the first has two slides."""
    rows, outcomes = [], []
    for at in range(patients):
        good = at % 2 == 0
        rows.append((f"s{at}", f"p{at:02d}", cells(folder, f"s{at}.csv.gz", good, at)))
        outcomes.append((f"p{at:02d}", 40.0 + at if good else 5.0 + at, int(at % 6 != 0), int(good)))
    rows.append(("again", "p00", cells(folder, "again.csv.gz", True, 99)))
    pd.DataFrame(rows, columns=["slide", "patient", "table"]).to_csv(folder / "cells.csv", index=False)
    names = ["patient", "months", "dead", "responded"]
    pd.DataFrame(outcomes[1:], columns=names).to_csv(folder / "outcome.csv", index=False)
    return folder / "cells.csv"


def ran(*words: object) -> Result:
    return CliRunner().invoke(app, ["niches", *map(str, words)], catch_exceptions=False)


def test_one_table(tmp_path: Path) -> None:
    out = tmp_path / "niches.csv"
    table = tmp_path / cells(tmp_path, "one.csv", True, 0)
    options = ("--out", out, "--mpp", 1, "--positive", GATES, "--permutations", 199, "--seed", 3)
    said = ran(table, *options)
    assert said.exit_code == 0, said.output
    assert "CD8: > 100," in said.stdout
    assert "radius 30 µm, 199 permutations, labels permuted over the slide, seed 3" in said.stdout
    found = pd.read_csv(out).set_index(["a", "b"])
    assert [*found.index] == [
        ("CD8", "CD8"), ("CD8", "CD4"), ("CD8", "CD163"), ("CD4", "CD4"), ("CD4", "CD163"), ("CD163", "CD163"),
    ]  # fmt: skip
    values = pd.read_csv(table)
    xy, cd8, cd4 = values[["X_centroid", "Y_centroid"]].to_numpy(), values["CD8"] > 100, values["CD4"] > 100
    near = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) <= 30
    np.fill_diagonal(near, val=False)
    pairs = near[np.ix_(cd8, cd4)].sum()
    row = found.loc[("CD8", "CD4")]
    assert row["mean_b_around_a"] == pytest.approx(pairs / cd8.sum())
    mean = near.sum() * (cd8.sum() * cd4.sum() - (cd8 & cd4).sum()) / (300 * 299)
    assert row["log_ratio"] == pytest.approx(math.log((pairs + 0.5) / (mean + 0.5)))
    assert row["p_greater"] <= 0.05
    first = out.read_bytes()
    ran(table, *options)
    assert out.read_bytes() == first


def test_patients_and_follow_up(tmp_path: Path) -> None:
    proteins, columns = tmp_path / "proteins.csv", tmp_path / "columns.csv"
    said = ran(
        cohort(tmp_path), "--out", tmp_path / "n.csv", "--mpp", 1, "--positive", GATES, "--permutations", 49,
        "--pairs", "CD8:CD4,CD163:CD163", "--patients-out", proteins, "--outcome", tmp_path / "outcome.csv",
        "--time-column", "months", "--event-column", "dead", "--association-out", columns,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "1 patients without an outcome left out of the association" in said.stdout
    table = pd.read_csv(proteins, index_col="patient")
    assert list(table.columns) == ["niche_CD8_CD4", "niche_CD163_CD163", "mean_CD8", "mean_CD4", "mean_CD163"]
    assert len(table) == 24
    both = pd.concat([pd.read_csv(tmp_path / name) for name in ("s0.csv.gz", "again.csv.gz")])
    assert table.loc["p00", "mean_CD8"] == pytest.approx(both["CD8"].mean())
    found = pd.read_csv(columns).set_index("column")
    assert (found.loc["niche_CD8_CD4", "estimate"] < 0.5) & (found.loc["niche_CD8_CD4", "q"] < 0.05)
    assert found.loc["niche_CD163_CD163", "p"] > 0.01
    assert (found["patients"] == 23).all()


def test_slides_of_a_patient_are_drawn_apart_and_their_order_does_not_matter(tmp_path: Path) -> None:
    manifest = cohort(tmp_path, 3)
    common = ("--mpp", 1, "--positive", GATES, "--permutations", 49)
    ran(manifest, "--out", tmp_path / "one.csv", *common)
    table = pd.read_csv(manifest)
    table.iloc[::-1].sort_values("slide").to_csv(manifest, index=False)
    ran(manifest, "--out", tmp_path / "other.csv", *common)
    one, other = (pd.read_csv(tmp_path / name).drop(columns="slides") for name in ("one.csv", "other.csv"))
    pd.testing.assert_frame_equal(one, other)
    twice = pd.DataFrame([("a", "p", "s0.csv.gz"), ("b", "p", "s0.csv.gz")], columns=["slide", "patient", "table"])
    twice.to_csv(manifest, index=False)
    ran(manifest, "--out", tmp_path / "twice.csv", *common, "--pairs", "CD8:CD4")
    both = pd.read_csv(tmp_path / "twice.csv")["null_sd"][0]  # per A-positive cell, of which there are twice as many
    twice.iloc[:1].to_csv(manifest, index=False)
    ran(manifest, "--out", tmp_path / "once.csv", *common, "--pairs", "CD8:CD4")
    assert both / pd.read_csv(tmp_path / "once.csv")["null_sd"][0] == pytest.approx(2**-0.5, rel=0.2)


def test_a_response_is_an_auc(tmp_path: Path) -> None:
    columns = tmp_path / "columns.csv"
    said = ran(
        cohort(tmp_path), "--out", tmp_path / "n.csv", "--mpp", 1, "--positive", GATES, "--permutations", 9,
        "--markers", "CD8,CD4", "--outcome", tmp_path / "outcome.csv", "--response-column", "responded",
        "--association-out", columns,
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    found = pd.read_csv(columns).set_index("column")
    assert found.loc["niche_CD8_CD4", "measure"] == "AUC"
    assert found.loc["niche_CD8_CD4", "estimate"] > 0.95


def test_what_the_reader_noticed_and_what_is_undefined_is_said(tmp_path: Path) -> None:
    table = tmp_path / cells(tmp_path, "one.csv", True, 0)
    values = pd.read_csv(table)
    values["flat"] = 7.0
    values.to_csv(table, index=False)
    said = ran(table, "--out", tmp_path / "n.csv", "--mpp", 1, "--permutations", 9, "--positive", "percentile:99")
    assert "note: one: the table's layout is that of MCMICRO" in said.stdout
    assert "flat: constant" in said.stdout
    assert "undefined: CD8:CD8, CD8: 3 positive cells, fewer than 10 (one)" in said.stdout
    found = pd.read_csv(tmp_path / "n.csv")
    assert found[["log_ratio", "p", "q"]].isna().all(axis=None)
    assert found["undefined"].notna().all()


def test_one_gate_for_all_slides_or_each_its_own(tmp_path: Path) -> None:
    manifest = cohort(tmp_path, 3)
    common = ("--out", tmp_path / "n.csv", "--mpp", 1, "--permutations", 9, "--positive", "percentile:80")
    assert "gates of 4 slides" in ran(manifest, *common).stdout
    assert "gates of all slides (above the marker's 80th percentile)" in ran(
        manifest, *common, "--gates-from-all"
    ).stdout  # fmt: skip


BAD: dict[str, tuple[list[str], str]] = {
    "no file": (["{}/none.csv"], "no such table"),
    "no unit": (["{}/one.csv"], "positions are in px"),
    "no marker": (
        ["{}/one.csv", "--mpp", "1", "--markers", "CD9"],
        "no column of the marker 'CD9'.*did you",
    ),
    "no pair": (["{}/one.csv", "--mpp", "1", "--pairs", "CD8:CDX"], "unknown marker 'CDX'"),
    "pair": (["{}/one.csv", "--mpp", "1", "--pairs", "CD8-CD4"], "expected A:B"),
    "rule": (["{}/one.csv", "--mpp", "1", "--positive", "otsu"], "unknown rule of positive cells 'otsu'"),
    "radius": (["{}/one.csv", "--mpp", "1", "--radius-um", "0"], "a length that is not above 0"),
    "x": (["{}/one.csv", "--mpp", "1", "--x-column", "X"], "no column 'X'"),
    "outcome": (["{}/one.csv", "--mpp", "1", "--response-column", "r"], "no outcome"),
    "strangers": (["{}/one.csv", "--mpp", "1", "--outcome", "{}/outcome.csv"], "no patient has both"),
    "column": (["{}/one.csv", "--mpp", "1", "--outcome", "{}/outcome.csv", "--time-column", "tme"], "did you mean"),
    "manifest": (["{}/bad.csv", "--mpp", "1"], "slide s: no table none.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals_are_one_line(case: str, tmp_path: Path) -> None:
    cells(tmp_path, "one.csv", True, 0)
    (tmp_path / "outcome.csv").write_text("patient,time,event\nq,1,1\n")
    (tmp_path / "bad.csv").write_text("slide,patient,table\ns,p,none.csv\n")
    words, said = BAD[case]
    with pytest.raises(UserError, match=said) as refused:
        ran(*(word.format(tmp_path) for word in words), "--out", tmp_path / "n.csv", "--permutations", 2)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "n.csv").exists()


def test_a_pair_is_two_names_and_stands_once() -> None:
    assert read_pairs("PD-1:PD-L1, CD8:CD8") == (("PD-1", "PD-L1"), ("CD8", "CD8"))
    with pytest.raises(UserError, match="a pair twice"):
        read_pairs("CD8:CD4,CD4:CD8")


def test_defaults_are_those_of_the_options() -> None:
    given = {name: one.default for name, one in inspect.signature(niches_command).parameters.items()}
    own = vars(Options())
    assert {name: given[name] for name in own if name in given} == {
        name: value for name, value in own.items() if name in given
    }
    assert {"radius_um", "permutations", "seed", "least_positives", "block_um"} <= set(given)
