"""Niches of two real CyCIF tables: figures computed once with pandas and scikit-learn's radius graph, not our code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from protocols.expression.measures import MEASURES, fit_scale
from protocols.metrics.positivity import Rule, gate
from protocols.readers.cell_table import read_cell_table
from suite.cli import app
from tests.cohorts import real_data

MCMICRO = "scimapExampleData__exemplar-001--unmicst_cell.csv.gz"
SCIMAP = "_data__example_data.csv.gz"


def niches(name: str, gates: str, pairs: str, out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    proteins = out.with_name("proteins.csv")
    markers = ",".join(one.partition("=")[0] for one in gates.split(","))
    words = [real_data("protein") / name, "--mpp", 0.65, "--positive", gates, "--pairs", pairs, "--markers", markers]
    words += ["--permutations", 99, "--out", out, "--patients-out", proteins]
    done = CliRunner().invoke(app, ["niches", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return pd.read_csv(out), pd.read_csv(proteins)


def test_exemplar_001(tmp_path: Path) -> None:
    """11,201 cells, 30 µm, pixels of .65 µm: 187,620 ordered neighbour pairs."""
    gates = "CD45=550,ELANE=1750,CD11B=1480,ECAD=1500,CD57=700"
    pairs = "ELANE:ELANE,CD45:CD45,CD45:ECAD,ELANE:CD11B,CD57:CD57"
    found, proteins = niches(MCMICRO, gates, pairs, tmp_path / "n.csv")
    assert found["cells"].unique().tolist() == [11201]
    assert found["positive_a"].tolist() == [2525, 6260, 6260, 2525, 1672]
    assert found["positive_b"].tolist() == [2525, 6260, 4123, 1156, 1672]
    assert found["mean_b_around_a"].tolist() == pytest.approx([5.657822, 14.788179, 4.715016, 1.252277, 9.193780])
    assert found["null_mean"].tolist() == pytest.approx([3.774798, 9.360720, 6.165828, 1.728705, 2.499083])
    assert found["log_ratio"].tolist() == pytest.approx([0.404675, 0.457303, -0.268266, -0.322365, 1.302516], abs=2e-6)
    assert (found["p_greater"] == 0.01).tolist() == [True, True, False, False, True]
    assert (found["p_less"] == 0.01).tolist() == [False, False, True, True, False]
    means = [930.8983, 1584.6281, 1141.0817, 1641.1636, 886.5119]
    got = proteins[[f"mean_{one.partition('=')[0]}" for one in gates.split(",")]].iloc[0]
    assert got.tolist() == pytest.approx(means, abs=1e-3)


def test_the_other_layout(tmp_path: Path) -> None:
    """3,029 cells, 79,568 ordered pairs; three cells above CD15's gate and two above CD68's are too few to speak of."""
    gates = "CD8A=2500,CD4=1900,CD163=1000,CD15=2000,CD68=900"
    found, _ = niches(SCIMAP, gates, "CD8A:CD4,CD163:CD163,CD163:CD15,CD163:CD68,CD15:CD15", tmp_path / "n.csv")
    assert found["positive_a"].tolist() == [45, 400, 400, 400, 3]
    assert found["positive_b"].tolist() == [496, 400, 3, 2, 3]
    assert found["mean_b_around_a"].tolist()[:2] == pytest.approx([5.488889, 4.775])
    assert found["null_mean"].tolist()[:2] == pytest.approx([4.301395, 3.461435])
    assert found["log_ratio"].tolist()[:2] == pytest.approx([0.243229, 0.321611], abs=2e-6)
    assert found["undefined"].fillna("").tolist() == [
        "", "", "CD15: 3 positive cells, fewer than 10", "CD68: 2 positive cells, fewer than 10",
        "CD15: 3 positive cells, fewer than 10",
    ]  # fmt: skip


def test_cells_that_a_cycle_did_not_cover_would_have_made_everybody_positive() -> None:
    """81 of 11,201 cells are exactly 0 in CD11B: fitted, they are one of the two Gaussians."""
    values = pd.read_csv(real_data("protein") / MCMICRO)["CD11B"].to_numpy()
    assert (values == 0).sum() == 81
    found = gate("CD11B", values, Rule(), seed=0)
    assert found.not_fitted == 81
    assert found.share < 0.2
    assert "a weak gate" in found.note


def test_measures_of_the_same_table() -> None:
    """99th percentiles, and the means of arcsinh(x / 5), from numpy alone; the reader's markers leave DNA out."""
    table = read_cell_table(real_data("protein") / MCMICRO)
    assert (len(table.ids), table.unit) == (11201, "px")
    assert table.markers == ("ELANE", "CD57", "CD45", "CD11B", "SMA", "CD16", "ECAD", "FOXP3", "NCAM")
    column = dict(zip(table.markers, table.intensities.T, strict=True))
    names = ["CD45", "ELANE", "CD11B", "ECAD", "CD57"]
    scale = fit_scale(MEASURES["percentile99"], names, column.__getitem__)
    assert scale.divisor.tolist() == pytest.approx([2889.1379, 2526.185, 3262.4894, 4582.0952, 13041.5975], rel=1e-6)
    scaled = scale.targets(np.stack([column[name] for name in names], axis=1))
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)
    assert ((scaled == 1).sum(axis=0) == 113).all()  # the percentile is cell 11,088 of 0 to 11,200, and 112 lie above
    found = MEASURES["arcsinh"].change
    assert found is not None
    means = [float(found(column[name]).astype(float).mean()) for name in names]
    assert means == pytest.approx([5.666966, 6.434877, 6.035602, 6.373980, 5.051144], abs=1e-4)
