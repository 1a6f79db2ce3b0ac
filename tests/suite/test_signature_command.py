"""``slide2omics signature``: from tables to a table, and its refusals, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocols.errors import UserError
from suite.cli import app
from suite.tools.signature import Options
from suite.tools.signature_command import external_cohort
from tests.suite.test_signature import predictions, written


def test_the_command_fits_and_judges(tmp_path: Path) -> None:
    discovery, other = written(tmp_path, "TCGA", 0, n=120), written(tmp_path, "METABRIC", 1, n=80)
    predicted = predictions(discovery, tmp_path / "predicted.csv")
    genes = tmp_path / "genes.txt"
    genes.write_text("\n".join(f"g{k}" for k in range(12)))
    out = tmp_path / "out"
    options = {
        "--expression": discovery.expression, "--outcome": discovery.outcome, "--covariates": discovery.covariates,
        "--name": "TCGA", "--candidates": genes, "--predicted": predicted, "--top": 10, "--folds": 3,
        "--outer-folds": 3, "--seed": 4, "--out": out, "--own-scale": "METABRIC",
        "--external": f"METABRIC={other.expression},{other.outcome},{other.covariates}",
    }  # fmt: skip
    arguments = [str(word) for pair in options.items() for word in pair]
    ran = CliRunner().invoke(app, ["signature", *arguments, "--log2"], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert "genes: g" in ran.stdout
    assert "discovery, out of fold: C-index 0." in ran.stdout
    assert "METABRIC: C-index 0." in ran.stdout
    assert f"table: {out / 'signature.md'}" in ran.stdout
    settings = json.loads((out / "evaluation.json").read_text())["settings"]
    assert settings["discovery"] == "TCGA"
    assert settings["external"] == ["METABRIC"]
    expected = Options(seed=4, folds=3, outer_folds=3, top=10, own_scale=("METABRIC",))
    assert {name: settings[name] for name in vars(expected)} == {**vars(expected), "own_scale": ["METABRIC"]}


def test_defaults_are_those_of_the_options() -> None:
    """Said twice, so that the command line need not import the fit to show its help."""
    import inspect

    from suite.tools.signature_command import signature

    given = {name: one.default for name, one in inspect.signature(signature).parameters.items()}
    own = vars(Options())
    assert {name: given[name] for name in own if name != "own_scale"} == {
        name: value for name, value in own.items() if name != "own_scale"
    }


@pytest.mark.parametrize("text", ["METABRIC", "=a.csv,b.csv", "METABRIC=a.csv", "METABRIC=a,b,c,d"])
def test_an_external_cohort_is_a_name_and_its_tables(text: str) -> None:
    with pytest.raises(UserError, match="expected NAME=EXPRESSION,OUTCOME"):
        external_cohort(text, log2=False)


def test_two_or_three_tables() -> None:
    assert external_cohort("A=x.csv,y.csv", log2=True).covariates is None
    found = external_cohort("A=x.csv,y.csv,z.csv", log2=False)
    assert (found.name, found.expression, found.covariates) == ("A", Path("x.csv"), Path("z.csv"))
