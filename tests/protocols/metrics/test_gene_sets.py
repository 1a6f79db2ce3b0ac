"""Over-representation of gene sets: by hand, against Fisher's exact test, under the null; and GMT files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from protocols.errors import UserError
from protocols.metrics.gene_sets import over_representation, read_gmt
from tests.cohorts import real_data

UNIVERSE = [f"G{i}" for i in range(200)]


def written(folder: Path, text: str) -> Path:
    path = folder / "sets.gmt"
    path.write_text(text, encoding="utf-8")
    return path


def test_by_hand() -> None:
    # 4 of 10 genes drawn, a set of 3 wholly among them: 4·3·2 / (10·9·8) = 1/30; of the other, at least 1 of 3: 1 - 1/6
    rows = over_representation("ABCD", "ABCDEFGHIJ", {"two": "AIJ", "one": "ABC"}, min_size=3)
    assert [row.gene_set for row in rows] == ["one", "two"]
    one, two = rows
    assert (one.size, one.overlap, one.expected, one.genes) == (3, 3, pytest.approx(1.2), ("A", "B", "C"))
    assert (one.p, one.q) == (pytest.approx(1 / 30), pytest.approx(1 / 15))
    assert (two.p, two.q, two.genes) == (pytest.approx(5 / 6), pytest.approx(5 / 6), ("A",))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_fishers_exact_test_and_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits = set(rng.choice(UNIVERSE, rng.integers(0, 120), replace=False))
    sets = {f"S{i}": set(rng.choice(UNIVERSE, rng.integers(5, 80), replace=False)) for i in range(6)}
    rows = over_representation(hits, UNIVERSE, sets)
    for row in rows:
        both, only_set, only_hits = len(sets[row.gene_set] & hits), row.size - row.overlap, len(hits) - row.overlap
        table = [[both, only_set], [only_hits, 200 - both - only_set - only_hits]]
        assert row.p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)
        assert row.p == pytest.approx(stats.hypergeom.sf(both - 1, 200, row.size, len(hits)), rel=1e-12)
    assert [row.q for row in rows] == pytest.approx(multipletests([row.p for row in rows], method="fdr_bh")[1])
    assert [(row.p, row.gene_set) for row in rows] == sorted((row.p, row.gene_set) for row in rows)


def test_sets_are_cut_to_the_universe_before_their_size_is_judged() -> None:
    foreign = [f"X{i}" for i in range(600)]
    sets = {
        "large outside": UNIVERSE[:6] + foreign,
        "small inside": UNIVERSE[:4] + foreign,
        "repeats": [*UNIVERSE[:6], *UNIVERSE[:6]],
        "all": UNIVERSE,
    }
    rows = over_representation(UNIVERSE[:10], UNIVERSE, sets, max_size=100)
    assert [(row.gene_set, row.size) for row in rows] == [("large outside", 6), ("repeats", 6)]
    by_size = {f"{size}": UNIVERSE[:size] for size in (4, 5, 6, 7, 8)}
    assert {row.size for row in over_representation([], UNIVERSE, by_size, min_size=5, max_size=7)} == {5, 6, 7}
    assert over_representation(UNIVERSE[:10], UNIVERSE, {"small": UNIVERSE[:4]}) == []


def test_the_whole_genome_as_background_enriches_every_expressed_set() -> None:
    """Hits drawn at random from the expressed genes: no set of expressed genes is special, but a genome says so."""
    rng = np.random.default_rng(0)
    expressed = UNIVERSE
    genome = expressed + [f"silent{i}" for i in range(800)]
    sets = {f"S{i}": rng.choice(expressed, 40, replace=False).tolist() for i in range(50)}
    hits = rng.choice(expressed, 100, replace=False).tolist()
    wrong = over_representation(hits, genome, sets)
    right = over_representation(hits, expressed, sets)
    assert all(row.q < 1e-3 for row in wrong)
    assert not any(row.q < 0.05 for row in right)


def test_level_under_the_null() -> None:
    rng = np.random.default_rng(1)
    sets = {f"S{i}": rng.choice(UNIVERSE, 30, replace=False).tolist() for i in range(100)}
    p = [
        row.p
        for _ in range(20)
        for row in over_representation(rng.choice(UNIVERSE, 60, replace=False).tolist(), UNIVERSE, sets)
    ]
    assert 0.01 < np.mean(np.array(p) < 0.05) <= 0.05


def test_edges() -> None:
    sets = {"S": UNIVERSE[:10]}
    assert over_representation([], UNIVERSE, sets)[0].p == 1
    assert over_representation(UNIVERSE, UNIVERSE, sets)[0].p == 1
    assert over_representation([], [], sets) == []
    with pytest.raises(UserError, match=r"1 of 2 hits are not in the universe, such as 'ENSG1'"):
        over_representation(["G1", "ENSG1"], UNIVERSE, sets)


def test_gmt_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "A\thttp://a\tTP53\tMYC\tTP53\t\r\n\nB\t\tEGFR\n")
    assert read_gmt(path) == {"A": ("TP53", "MYC"), "B": ("EGFR",)}
    packed = tmp_path / "sets.gmt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_gmt(packed) == read_gmt(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no gene set"),
        ("A\tx\tTP53\nB\tx\n", "line 2 has no genes"),
        ("A,x,TP53\n", "line 1 has no genes"),
        ("\tx\tTP53\n", "line 1 has no name"),
        ("A\tx\tTP53\nA\tx\tMYC\n", "line 2 repeats the set 'A'"),
    ],
)
def test_a_broken_gmt_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_gmt(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "sets.gmt" in str(caught.value)


def test_files_that_are_no_gmt(tmp_path: Path) -> None:
    whole = gzip.compress(b"A\tx\tTP53\n" * 50)
    for name, content in (
        ("cut.gz", whole[:-9]),
        ("bent.gz", whole[:12] + b"\xff\xff\xff" + whole[15:]),
        ("image.gmt", b"\x89PNG\xff"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_gmt(tmp_path / name)
    with pytest.raises(UserError, match="No such file"):
        read_gmt(tmp_path / "absent.gmt")
    with pytest.raises(UserError, match="cannot be read"):
        read_gmt(tmp_path)


@pytest.mark.realdata
def test_real_modules_among_the_genes_of_the_released_model(tmp_path: Path) -> None:
    """Glioblastoma's meta-modules in a universe of 20,820 genes: the module that the hits come from is first."""
    modules = json.loads((real_data("gbm_modules") / "neftel2019_gbm_metamodules.json").read_text())
    universe = (real_data("sequoia") / "gene_list.csv").read_text().split()[1:]
    path = written(tmp_path, "".join("\t".join([name, "", *genes]) + "\n" for name, genes in modules.items()))
    sets = read_gmt(path)
    assert {name: len(genes) for name, genes in sets.items()} == {n: len(set(g)) for n, g in modules.items()}
    rng = np.random.default_rng(0)
    for name in sets:
        inside = sorted(set(sets[name]) & set(universe))
        hits = set(inside[::2]) | set(rng.choice(universe, 500, replace=False))
        first = over_representation(hits, universe, sets)[0]
        assert first.gene_set == name
        assert first.q < 1e-6
