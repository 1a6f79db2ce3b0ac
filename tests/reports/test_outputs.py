from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from protocols.errors import UserError
from protocols.records import Interval, ScoreRecord
from reports import latex, markdown
from reports.claims import all_claims
from reports.data import boards_csv, boards_json, genes_csv, ranks_csv
from reports.leaderboard import Leaderboard, build_leaderboards
from reports.maps import cell_limit, encode_maps, read_maps
from reports.page import page, short_titles, staircases
from reports.tables import number
from reports.terminal import print_leaderboards
from reports.times import duration, memory, rate, times_csv, times_page
from reports.write import write_reports
from tests.reports import synthetic
from tests.reports.synthetic import COHORT, record, skipped

EVIL = '<script>alert("x")</script> & a|b_$%#{}~^\\ `c` *d* [e](f)'


def _tiny() -> list[ScoreRecord]:
    return [
        record(model="uni", summary={"pearson_pooled": None, "ari": -0.0001}),
        record(model="mean", kind="control", per_patient={"p1": 0.0, "p2": 0.0}, weights=[]),
        skipped("intra_patient", "oracle", "needs a known truth"),
    ]


def _evil() -> list[ScoreRecord]:
    card = {
        "name": EVIL,
        "title": EVIL,
        "kind": "model",
        "summary": EVIL,
        "notes": [EVIL],
        "published": [{"protocol": "p", "metric": "r", "value": 0.5, "spread": None, "source": EVIL, "note": EVIL}],
    }
    return [
        record("p", "evil", card=card, cohort={**COHORT, "name": EVIL}, protocol_title=EVIL, counts={EVIL: 1}),
        replace(skipped("p", "other", EVIL), card=card),
        record("p", "control", kind="</script>", excluded=[{"what": EVIL, "reason": EVIL}], card=card),
    ]


def _boards(records: list[ScoreRecord]) -> list[Leaderboard]:
    return build_leaderboards(records, seed=0)


GOLDEN = """\
# Leaderboards

## Intra-patient single-cell expression: phantom

Protocol `intra_patient` version 1 · profile mini · cohort phantom-mini, simulated tissue: 6 slides, \
6 patients, 2,400 cells. Headline: Pearson r per gene, mean over genes and slides.

> **Warning:** 1 of 1 models started from random weights, and the cohort is a phantom (simulated tissue): these ranks \
say nothing about the published models. They show that the suite itself works.

> **Warning:** Only 2 patients: fewer than 6 can tell no two models apart, however far apart their means are, so every \
model has rank 1.

|    Rank | Model   |   Pearson r |         95 % CI |   Patients |   ARI |   Published | Verdict   | Weights   |
|--------:|:--------|------------:|----------------:|-----------:|------:|------------:|:----------|:----------|
|       1 | uni     |       0.400 |  0.300 to 0.500 |          2 | 0.000 |         n/a | n/a       | random    |
| control | mean    |       0.000 |  0.000 to 0.000 |          2 |   n/a |         n/a | n/a       | none      |

Controls and the oracle bracket the scale; they have no rank.

- Fewer than 6 patients, or than 10 in each fold of a score by folds, can tell no two models apart: every rank is \
shared.

### Skipped

- **oracle**: needs a known truth

## Published claims

No card states a published number.
"""


def test_markdown_golden() -> None:
    def tight(text: str) -> str:
        """Without the padding that only aligns the source."""
        return re.sub("-{3,}", "---", re.sub(" +", " ", text))

    assert tight(markdown.markdown(_boards(_tiny()), [])) == tight(GOLDEN)


def test_markdown_holds_no_html_and_no_broken_cells() -> None:
    records = _evil()
    text = markdown.markdown(_boards(records), all_claims(records, seed=0))
    assert "<" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in tables[: tables.index(tables[1]) + 3]}
    assert len(cells) == 1, "an unescaped bar in a name would add a cell"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_latex_escape_leaves_no_special_character(text: str) -> None:
    escaped = latex.escape(text)
    bare = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl)\{\}", "", escaped
    )
    bare = re.sub(r"\$(-|\\pm|\\cdot|\\mu|\\downarrow)\$", "", bare)
    bare = re.sub(r"\\[{}$&#%_]", "", bare)
    assert not re.search(r"[\\{}$&#%_~^<>|\n]", bare)


def test_latex_is_balanced_and_every_row_has_all_cells() -> None:
    records = _evil()
    text = latex.latex(_boards(records), all_claims(records, seed=0))
    plain = re.sub(r"\\[{}]", "", text)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular", "table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == ["tabular", "table", "tabular", "table"]
    for tabular in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        aligned = re.match(r"\{([lr]+)\}", tabular)
        assert aligned
        rows = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(aligned[1])}
        assert tabular.count(r"\toprule") == tabular.count(r"\bottomrule") == 1


def test_csv_comes_back_as_it_was() -> None:
    rows = list(csv.DictReader(io.StringIO(boards_csv(_boards(synthetic.study())))))
    assert len(rows) == 24
    best = rows[0]
    original = next(r for r in synthetic.study() if (r.protocol, r.model) == ("intra_patient", "past"))
    assert float(best["mean"]) == original.headline.mean
    assert (best["rank"], best["published"], best["board"]) == ("1", "0.619", "phantom")
    assert "seconds" not in best, "times differ between two equal runs"
    assert best["verdict"] == "not comparable: phantom cohort; random weights"
    evil = list(csv.DictReader(io.StringIO(boards_csv(_boards(_evil())))))
    assert evil[0]["title"] == EVIL
    assert [r["status"] for r in evil if r["model"] == "other"] == ["skipped"]


def test_plot_tables_have_one_row_a_value() -> None:
    boards = _boards(synthetic.study(genes=12))
    ranks = list(csv.DictReader(io.StringIO(ranks_csv(boards))))
    assert len(ranks) == 23, "the skipped cell has no number"
    assert {r["rank"] for r in ranks if r["kind"] != "model"} == {""}
    genes = list(csv.DictReader(io.StringIO(genes_csv(boards))))
    assert len(genes) == 23 * 12
    assert [g["pearson"] for g in genes if g["gene"] == "GENE007"] == [""] * 23


def test_json_holds_ranks_claims_and_whole_hashes() -> None:
    records = synthetic.study(genes=12)
    content = json.loads(boards_json(_boards(records), all_claims(records, seed=0)))
    first = content["leaderboards"][0]["rows"][0]
    assert (first["model"], first["rank"]) == ("past", 1)
    assert first["hashes"]["split"] == "5p11t"
    assert content["claims"][0]["statuses"] == ["not comparable: phantom cohort", "not comparable: random weights"]


def test_page_escapes_everything_and_names_no_address() -> None:
    records = _evil()
    text = page(_boards(records), all_claims(records, seed=0), {})
    assert "<script>alert" not in text
    assert text.count("</script>") == 2, "only the page's own two scripts end"
    data = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(data)["boards"][0]["rows"][0]["title"] == EVIL
    # w3.org names an XML vocabulary, which no browser fetches.
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link[^>]+href=[\"'](?!data:)|\ssrc=|@import|url\(", text)


def test_every_warning_is_on_the_first_view_even_if_only_one_leaderboard_has_it() -> None:
    six = {f"p{i}": 0.1 * i for i in range(6)}
    boards = _boards([record("intra_patient", per_patient=six), record("inter_patient")])
    overview = page(boards, [], {}).split('id="overview"')[1].split('id="b0"')[0]
    assert "Inter-patient: Only 2 patients" in overview.replace("\n", " ")
    head = page(boards, [], {}).split('role="tablist"')[0]
    assert "say nothing about the published models" in head


def test_each_cohort_has_a_staircase_of_its_own() -> None:
    records = [
        replace(one, board=cohort) for cohort in ("first", "second") for one in synthetic.study(genes=3)
        if (cohort, one.protocol) != ("second", "cross_cancer")
    ]  # fmt: skip
    alone = record(
        "tcga_survival", metrics=synthetic.declared("tcga_survival")["metrics"], task="survival", board="first"
    )
    boards = _boards([*records, alone])
    wanted = [
        ["intra_patient-first", "inter_patient-first", "cross_cancer-first"],
        ["intra_patient-second", "inter_patient-second"],
    ]
    assert [[board.key for board in steps] for steps in staircases(boards)] == wanted
    text = page(boards, [], {})
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["staircases"] == wanted
    assert text.count('<div class="plot stair-plot">') == 2, "one figure each, in the same order"
    assert staircases(_boards([alone])) == []


def test_short_titles_lose_only_the_shared_end() -> None:
    boards = _boards(synthetic.study(genes=3))
    assert list(short_titles(boards).values()) == ["Intra-patient", "Inter-patient", "Cross-cancer"]
    assert list(short_titles(boards[:1]).values()) == ["Intra-patient single-cell expression"]


def test_all_outputs_are_written_and_deterministic(tmp_path: Path) -> None:
    scores = synthetic.write(synthetic.study(genes=20)[:9], tmp_path / "scores", cells=60)
    first = write_reports(scores, tmp_path / "one", seed=1)
    folders = sorted((p.parent for p in scores.glob("*/*/*/*/record.json")), reverse=True)
    stale = tmp_path / "two" / "figures" / "ranks_of_old.png"
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    second = write_reports(folders, tmp_path / "two", seed=1)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 9 + len(first.figures)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert not stale.exists()
    assert {p.name for p in second.figures} == {
        f"{name}_{protocol}-phantom.{kind}"
        for name in ("ranks", "genes")
        for protocol in ("intra_patient", "inter_patient")
        for kind in ("png", "svg")
    }


def test_odd_names_and_missing_values_survive_every_writer(tmp_path: Path) -> None:
    records = _evil()
    odd = replace(
        records[0],
        model="odd",
        headline=Interval(0.1, None, None, 1),
        per_patient={"p1": 0.1},
        summary={"ari": None},
        per_gene=[{"gene": "漢$x$", "pearson": None, "reachable": None, "visible_share": None, "n_units": 0}],
    )
    paths = write_reports(synthetic.write([*records, odd], tmp_path / "s", cells=30), tmp_path / "out", seed=0)
    assert paths.html.stat().st_size > 10_000
    assert [p.name for p in paths.figures] == ["ranks_p-phantom.png", "ranks_p-phantom.svg"], (
        "no reachable r, no figure of genes"
    )


def test_terminal_shows_ranks_reasons_and_the_page(tmp_path: Path) -> None:
    scores = synthetic.write([*_tiny(), *_evil()], tmp_path, with_maps=False)
    console = Console(width=100, record=True, file=io.StringIO())
    print_leaderboards(scores, seed=0, page=Path("out/index.html"), console=console)
    text = console.export_text()
    assert "page: out/index.html" in text
    assert "skipped: oracle: needs a known truth" in text
    assert "random weights" in text
    assert "[e](f)" in text, "markup in a name is shown, not obeyed"


def test_maps_are_shared_between_models_whatever_the_order_of_rows(tmp_path: Path) -> None:
    folders: dict[str, Path] = {}
    for model in ("uni", "past"):
        folders[model] = tmp_path / model
        folders[model].mkdir()
        table = synthetic.maps(model, slides=2, cells=50)
        if model == "past":
            table = table.iloc[::-1]
        table.to_parquet(folders[model] / "maps.parquet")
    maps = read_maps(folders)
    assert [(m.slide, m.gene, sorted(m.predicted)) for m in maps] == [
        ("S0", "EPCAM", ["past", "uni"]),
        ("S1", "EPCAM", ["past", "uni"]),
    ]
    encoded = encode_maps({"p": maps}, seed=0)["p"][0]
    expected = synthetic.maps("past", slides=1, cells=50)
    r = np.corrcoef(expected["truth"], expected["predicted"])[0, 1]
    assert encoded["predicted"]["past"]["r"] == pytest.approx(r, abs=6e-4)
    assert encoded["truth"]["low"] == pytest.approx(expected["truth"].min(), abs=1e-3)


def test_maps_keep_to_their_budget(tmp_path: Path) -> None:
    folder = tmp_path / "uni"
    folder.mkdir()
    synthetic.maps("uni", slides=3, cells=4000).to_parquet(folder / "maps.parquet")
    maps = read_maps({"uni": folder})
    assert cell_limit(maps, budget=10**9) == 4000
    assert cell_limit(maps, budget=3 * 8 * 1000) == 1000, "six bytes a cell are eight characters"
    assert cell_limit(maps, budget=1) == 200
    (folder / "maps.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match="unreadable maps"):
        read_maps({"uni": folder})


def test_page_of_a_mini_study_stays_small(tmp_path: Path) -> None:
    records: list[Any] = synthetic.study(genes=300)
    maps = {"intra_patient": [], "inter_patient": []}
    assert len(page(_boards(records), all_claims(records, seed=0), maps)) < 1_000_000


def test_numbers_as_written() -> None:
    assert [number(v) for v in (None, -0.0001, -0.25, 0.5)] == ["n/a", "0.000", "−0.250", "0.500"]
    assert [duration(v) for v in (None, 1.25, 90, 7200)] == ["n/a", "1.2 s", "1.5 min", "2.0 h"]
    assert [memory(v) for v in (None, 812, 2048)] == ["n/a", "812 MiB", "2.0 GiB"]
    assert [rate(v) for v in (None, 3.25, 48_932)] == ["n/a", "3.2", "48,932"]


def test_times_stand_apart(tmp_path: Path) -> None:
    """Two equal runs differ in their times alone: neither page nor table nor JSON of the boards holds any."""
    cells = synthetic.write([record(model="a"), record(model="b")], tmp_path / "scores", cells=30)
    written = []
    for name, seconds in (("one", 90.0), ("two", 7200.0)):
        place = tmp_path / name / "timings" / "intra_patient" / "phantom" / "a.json"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"seconds": seconds, "peak_memory_mib": 2048, "device": "H"}))
        out = tmp_path / name / "reports"
        written.append(write_reports(cells, out, seed=0, timings=tmp_path / name / "timings"))
    one, two = written
    files = [{p.relative_to(out.html.parent): p.read_bytes() for p in out.html.parent.rglob("*.*")} for out in written]
    assert files[0].keys() == files[1].keys()
    differ = {path.name for path, content in files[0].items() if files[1][path] != content}
    assert differ == {"times.csv", "times.html"}
    (row,) = csv.DictReader(one.times.read_text().splitlines())
    assert (row["board"], row["model"], row["seconds"], row["peak_gpu_memory_mib"]) == ("phantom", "a", "90.0", "")
    assert "1.5 min" in one.times_page.read_text()
    assert "2.0 h" in two.times_page.read_text()
    assert 'href="times.html"' in one.html.read_text()


def test_times_of_nothing_are_said() -> None:
    boards = _boards(_tiny())
    assert times_csv(boards).splitlines() == [
        "protocol,board,model,seconds,peak_memory_mib,peak_gpu_memory_mib,device,units_per_second"
    ]
    assert "No cell of these leaderboards was timed." in times_page(boards)
