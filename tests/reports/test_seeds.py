"""Several training seeds: the run's own stands for the cell, the spread of all stands on the board."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.records import ScoreRecord
from reports.cells import first_seeds, load_cells
from reports.claims import all_claims
from reports.data import boards_csv, boards_json
from reports.leaderboard import Leaderboard, build_leaderboards
from reports.markdown import markdown
from reports.tables import columns
from reports.write import write_reports
from tests.reports.synthetic import PUBLISHED, folder_of, maps, record, sealed, write
from tests.reports.test_ihc_reports import made as stained
from tests.reports.test_ihc_reports import samples

PATIENTS = [f"p{i}" for i in range(10)]


def seeded(model: str, *means: float | None, first: int = 0) -> list[ScoreRecord]:
    return [
        record(model=model, per_patient={} if mean is None else dict.fromkeys(PATIENTS, mean), seed=first + at)
        for at, mean in enumerate(means)
    ]


def board(*records: ScoreRecord, seed: int = 0) -> Leaderboard:
    (found,) = build_leaderboards(records, seed)
    return found


def column(found: Leaderboard, key: str) -> list[str]:
    (shown,) = [one for one in columns(found) if one.key == key]
    return [shown.text(row) for row in found.rows]


def test_one_row_a_model_with_the_spread_of_its_seeds() -> None:
    found = board(*seeded("many", 0.4, 0.5, 0.6), *seeded("once", 0.3))
    assert [(row.model, row.seed, row.headline.mean) for row in found.rows] == [
        ("many", 0, pytest.approx(0.4)), ("once", 0, pytest.approx(0.3)),
    ]  # fmt: skip
    assert found.rows[0].spread == pytest.approx((0.5, 0.1)), "n - 1 in the denominator"
    assert column(found, "seeds") == ["0.500 ± 0.100 (3, 100 %)", "n/a"]
    assert "0.500 ± 0.100 (3, 100 %)" in markdown([found], [])
    first, second = csv.DictReader(boards_csv([found]).splitlines())
    assert [float(first[key]) for key in ("n_seeds", "seed_mean", "seed_sd")] == pytest.approx([3, 0.5, 0.1])
    assert (second["n_seeds"], second["seed_mean"], second["seed_sd"]) == ("1", "", "")
    rows = json.loads(boards_json([found], []))["leaderboards"][0]["rows"]
    assert rows[0]["seeds"] == [[0, pytest.approx(0.4)], [1, pytest.approx(0.5)], [2, pytest.approx(0.6)]]


def test_the_row_is_the_run_s_own_seed_whatever_its_number() -> None:
    """``seeds: [2, 0, 1]``: splits, controls and submissions have seed 2, and so has the row that is ranked."""
    records = [*seeded("a", 0.9, 0.9, 0.1), *seeded("b", 0.5, first=2), *seeded("mean", 0.0, first=2)]
    found = board(*records, seed=2)
    assert [(row.model, row.seed, row.rank) for row in found.rows] == [("b", 2, 1), ("a", 2, 1), ("mean", 2, 2)]
    assert found.rows[1].spread == pytest.approx((1.9 / 3, 0.461880), abs=1e-6)
    assert [one.seed for one in first_seeds(records, 2)] == [2, 2, 2]
    assert [one.seed for one in first_seeds(records, 7)] == [0, 2, 2], "the lowest where the run's own is not there"


def test_one_seed_shows_no_column() -> None:
    assert "seeds" not in [one.key for one in columns(board(*seeded("a", 0.4), *seeded("b", 0.3)))]


def test_an_undefined_seed_is_not_counted() -> None:
    found = board(*seeded("a", 0.4, None, 0.6))
    assert column(found, "seeds") == ["0.500 ± 0.141 (2, 100 %)"]
    assert next(csv.DictReader(boards_csv([found]).splitlines()))["n_seeds"] == "2"
    skipped = replace(seeded("a", None, first=1)[0], status="skipped", reason="why")
    assert board(*seeded("a", 0.4), skipped).rows[0].seeds == ((0, pytest.approx(0.4)),)


def test_seeds_of_other_data_or_another_profile_are_refused() -> None:
    first, second = seeded("a", 0.4, 0.5)
    with pytest.raises(UserError, match=r"'a' \(seed 0\) and 'a' \(seed 1\) were scored on a different split"):
        board(first, replace(second, hashes={**second.hashes, "split": "0ther"}))
    with pytest.raises(UserError, match="different protocol version"):
        board(first, replace(second, model="b", protocol_version="2"))
    with pytest.raises(UserError, match="the profiles full and mini under one name"):
        board(first, replace(second, profile="full"))


def test_claims_are_held_against_the_row_that_is_shown() -> None:
    card = {"name": "a", "title": "A", "kind": "model", "published": [PUBLISHED]}
    records = [replace(one, card=card) for one in seeded("a", 0.4, 0.6)]
    for seed, measured in ((0, 0.4), (1, 0.6)):
        (claim,) = all_claims(records, seed)
        assert claim.measured == pytest.approx(measured)
        assert board(*records, seed=seed).rows[0].claims[0].measured == pytest.approx(measured)


def test_a_claim_of_every_board_takes_the_one_that_can_answer_it() -> None:
    """Of a phantom and the paper's own cohort, the second: the number of the first answers nothing."""
    hub = [{"part": "encoder", "source": "org/uni", "revision": "abc", "sha256": None}]
    card = {"name": "a", "title": "A", "kind": "model", "published": [PUBLISHED]}
    phantom = replace(seeded("a", 0.4)[0], card=card, weights=hub)
    real = replace(
        seeded("a", 0.6)[0], card=card, weights=hub, board="zz_real",
        cohort={**phantom.cohort, "phantom": False, "published_in": [PUBLISHED["source"]]},
    )  # fmt: skip
    (claim,) = all_claims([phantom, real], 0)
    assert (claim.measured, claim.verdict) == (pytest.approx(0.6), "comparable")


def test_seeds_lie_side_by_side_and_figures_show_one(tmp_path: Path) -> None:
    """Maps, violins and grids have one entry a model; three seeds of it are not three models."""
    genes = [{"gene": gene, "pearson": r, "pearson_pooled": r, "well_predicted": r > 0.2}
             for gene, r in (("A", 0.1), ("B", 0.3), ("C", 0.5))]  # fmt: skip
    bulk = [
        replace(one, protocol="tcga_expression", task="bulk", per_gene=genes, details={"top_genes": 2})
        for model in ("a", "b") for one in seeded(model, 0.3, 0.4)
    ]  # fmt: skip
    scores = write(bulk, tmp_path / "scores", with_maps=False)
    cells = [sealed(one, tmp_path / "scores" / "intra_patient" / "phantom" / "uni" / f"seed{one.seed}",
                    {"maps.parquet": maps("uni" if one.seed else "past", slides=1, cells=40)})
             for one in seeded("uni", 0.4, 0.5)]  # fmt: skip
    assert len(load_cells(scores)) == 6
    paths = write_reports(scores, tmp_path / "out", seed=1)
    assert {f"violins-tcga_expression.{kind}" for kind in ("png", "svg")} < {path.name for path in paths.figures}
    assert paths.mann_whitney is not None
    assert len(paths.mann_whitney.read_text().splitlines()) == 1 + 2
    data = json.loads(paths.html.read_text().split('id="data">')[1].split("</script>")[0])
    own = {tuple(one["predicted"]) for shown in data["boards"] for one in shown["maps"]}
    assert own == {("uni",)}
    alone = write_reports([cells[1]], tmp_path / "alone", seed=1)
    wanted = json.loads(alone.html.read_text().split('id="data">')[1].split("</script>")[0])["boards"][0]["maps"]
    assert [shown["maps"] for shown in data["boards"] if shown["maps"]] == [wanted], "of the run's own seed"


def test_a_grid_of_images_has_one_column_a_model(tmp_path: Path) -> None:
    cells = []
    for seed in (0, 1):
        one = replace(stained("good"), seed=seed)
        folder = folder_of(one, tmp_path / "scores")
        folder.mkdir(parents=True)
        np.save(folder / "samples.npy", samples("good") + seed, allow_pickle=False)
        cells.append(sealed(one, folder))
    both, alone = (
        write_reports(given, tmp_path / name, seed=1) for name, given in (("both", cells), ("alone", cells[1:]))
    )
    for name in ("ihc_grid_ihc4bc-phantom_ER.png", "h_scores_ihc4bc-phantom_ER.png"):
        shown, wanted = (out.html.parent / "figures" / name for out in (both, alone))
        assert shown.read_bytes() == wanted.read_bytes(), "of the run's own seed"
