"""Patch-GCN's published table handed in as its authors could: tidy cohorts, their folds, missing patients declared.

Of the release's five models, one that answers everybody and one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.records import ScoreRecord
from reports.leaderboard import build_leaderboards
from reports.tables import columns
from suite.engine.ask import run_ask
from suite.engine.read import run_read
from suite.engine.run import Run
from suite.engine.submit import handed_in, submit
from tests.cohorts import real_data
from tests.suite.engine_run import params, the_run, write_params

pytestmark = pytest.mark.realdata

PROTOCOL = "tcga_survival"
COHORTS = ("blca", "brca", "luad")
WHOLE, SKIPPED = ("AMILsm",), ("PatchGCN_4_spatialsm",)
COMMON = {"blca": 0.551, "brca": 0.580, "luad": 0.550}
SHARE = {"blca": 371 / 373, "brca": 1.0, "luad": 446 / 453}


@pytest.fixture(scope="module")
def risks() -> pd.DataFrame:
    table = pd.read_csv(real_data("patchgcn") / "published_predictions.csv.gz", dtype={"fold": str})
    return table[table["model"].isin([*WHOLE, *SKIPPED])]


@pytest.fixture(scope="module")
def run(risks: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("checkout")
    for cohort in COHORTS:
        write_cohort(risks[(risks["model"] == WHOLE[0]) & (risks["cohort"] == cohort)], folder / cohort)
    entries = {name: {"reader": "tidy", "root": name, "outcome": "outcome.csv", "splits": "splits"} for name in COHORTS}
    told = params(
        protocols=[PROTOCOL],
        models=["kaplan_meier"],
        cohorts={"survival": entries},
        tasks={"survival": {"average": list(COHORTS)}},
    )
    write_params(folder, told)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = the_run()
        run_read(run)
        run_ask(run)
        yield run


def write_cohort(table: pd.DataFrame, folder: Path) -> None:
    (folder / "splits").mkdir(parents=True)
    outcome = pd.DataFrame({"patient": table["patient"], "time": table["survival_months"]})
    outcome.assign(event=(table["censorship"] == 0).astype(int), unit="months").to_csv(
        folder / "outcome.csv", index=False
    )
    for fold in sorted(table["fold"].unique()):
        test = table["fold"] == fold
        sides = {"train": table.loc[~test, "patient"].tolist(), "val": table.loc[test, "patient"].tolist()}
        padded = pd.DataFrame({name: pd.Series(side) for name, side in sides.items()})
        padded.to_csv(folder / "splits" / f"splits_{fold}.csv", index=False)


def handed(run: Run, table: pd.DataFrame) -> dict[tuple[str, str], ScoreRecord]:
    table.to_csv("given.csv", index=False)
    given = handed_in(run.config, run.tasks["survival"], Path("given.csv"), None, "Patch-GCN's release")
    return {(one.model, one.board): one for one in submit(run, run.protocols[PROTOCOL], given)}


def test_the_published_table(run: Run, risks: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"test patients missing.*declare it missing"):
        handed(run, risks)
    everybody = risks[risks["model"] == WHOLE[0]]
    rows = [risks]
    for model in SKIPPED:
        known = risks[risks["model"] == model][["cohort", "patient"]].apply(tuple, axis=1)
        there = everybody[["cohort", "patient"]].apply(tuple, axis=1).isin(known)
        rows.append(everybody[~there].assign(model=model, risk=np.nan))
    found = handed(run, pd.concat(rows))
    published = pd.read_csv(real_data("patchgcn") / "cindex_per_fold.csv", dtype={"fold": str})
    for model in WHOLE:
        for cohort in COHORTS:
            record = found[model, cohort]
            folds = published[(published["model"] == model) & (published["cohort"] == cohort)].set_index("fold")
            measured = {row["fold"]: row["harrell"] for row in record.details["folds"]}
            assert measured == pytest.approx(folds["c_index"].to_dict(), abs=1e-9)
            assert record.summary["answered_share"] == 1.0
            assert not [note for note in record.notes if "declared" in note or "never filled" in note]
    for cohort in COHORTS:
        record = found["PatchGCN_4_spatialsm", cohort]
        assert record.summary["answered_share"] == pytest.approx(SHARE[cohort])
        assert round(record.summary["harrell_mean_answered"] or 0, 3) == COMMON[cohort]
        assert ((record.headline.mean or 0) < (record.summary["harrell_mean_answered"] or 0)) == (SHARE[cohort] < 1)
    average = found["PatchGCN_4_spatialsm", "average"]
    assert round(average.summary["harrell_mean_answered"] or 0, 3) == 0.560
    assert average.summary["answered_share"] == pytest.approx(np.mean(list(SHARE.values())))
    for board, expected in (("luad", True), ("brca", False), ("average", True)):
        (shown,) = build_leaderboards([one for (_, name), one in found.items() if name == board], 0)
        assert ("Answered" in {column.title for column in columns(shown)}) == expected
        assert any("declared missing" in notice.text for notice in shown.notices) == expected
