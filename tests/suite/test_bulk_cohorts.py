"""What cohorts of the bulk task may be: leaks and misspelt entries stop a run, a second protocol is served."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.phantom.bulk import generate_bulk
from protocols.records import AVERAGE
from suite.engine.ask import run_ask
from suite.engine.predict import cells_of
from suite.engine.read import run_read
from suite.places import SCORES
from tests.protocols.phantom.tiny_bulk import TINY_BULK
from tests.suite.bulk_run import (
    COHORT,
    EXPRESSION,
    EXTERNAL,
    MAPS,
    NETWORK,
    NORMAL,
    SECTION,
    SECTIONS,
    answers,
    audit,
    cohorts,
    contents,
    record,
    sections,
    settings,
    stored,
    values,
)
from tests.suite.engine_run import default_params, run_all, the_run, write_params

SECOND = """
from protocols.metric import Metric
from protocols.protocol import Protocol
from protocols.questions.tcga_expression import PROTOCOL as OTHER
from protocols.task import Part

FIRST = OTHER.metrics[0]
PROTOCOL = Protocol(
    name="whole_cohort", version="1", task="bulk", title="Another question", question="?", source="", target="",
    split=Part("protocols.bulk.splits:five_folds"), metrics=(FIRST, Metric("rmse", "RMSE", "error", False)),
)
"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bulk") / "data"
    generate_bulk(out, TINY_BULK, 0)
    return out


@pytest.fixture
def scratch(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the data alone, to plant leaks in."""
    shutil.copytree(phantom, tmp_path / "data")
    write_params(tmp_path, values())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_training_patient_in_the_external_cohort_stops_the_run(scratch: Path) -> None:
    run = the_run()
    run_read(run)
    patient = stored().patients[3]
    for name in ("reference.csv.gz", "slides.csv"):
        path = Path("data/cptac_gbm") / name
        pd.read_csv(path).replace("CPTM-0002", patient).to_csv(path, index=False)
    run_read(run)
    with pytest.raises(
        UserError, match=f"no person in two cohorts: patient {patient} is in {COHORT} and in {EXTERNAL}"
    ):
        run_ask(run)
    assert [one.check for one in audit(EXPRESSION, COHORT).failed] == ["no person in two cohorts"]


@pytest.mark.parametrize(
    ("target", "message"),
    [("gbm", ""), ("cptac_gbm", " of cohort phantom_cptac_gbm"), ("normal", " of cohort phantom_normal")],
)
def test_a_slide_file_copied_to_another_patient_stops_the_run(scratch: Path, target: str, message: str) -> None:
    own, others = pd.read_csv("data/gbm/slides.csv"), pd.read_csv(f"data/{target}/slides.csv")
    other = others[others["patient"] != own["patient"][0]]["path"].iloc[0]
    shutil.copy(Path("data") / own["path"][0], Path("data") / other)
    run = the_run()
    run_read(run)
    with pytest.raises(UserError, match=f"no scan of two people, by bytes: slide .*{message} has the bytes of slide"):
        run_ask(run)


def test_a_section_of_a_training_patient_stops_the_run(scratch: Path) -> None:
    patient = pd.read_csv("data/gbm/slides.csv")["patient"][0]
    path = Path("data/sections.csv")
    path.write_text(path.read_text().replace("UKF900,gbm", f"{patient},gbm"))
    run = the_run()
    run_read(run)
    with pytest.raises(UserError, match=f"no person in two cohorts: patient {patient} .*{SECTIONS}"):
        run_ask(run)
    assert not audit(EXPRESSION, COHORT).failed, "slides alone are asked without sections"


def test_a_section_keeps_every_tile_whatever_slides_are_allowed(scratch: Path) -> None:
    """A random draw would leave holes, and windows less than half full."""
    run_read(the_run())
    whole = contents(sections().folder / "sections")
    tile = default_params()["tasks"]["bulk"]["tile"] | {"max_tiles": 5}
    write_params(scratch, values(tasks=settings(tile=tile)))
    run_read(the_run())
    assert contents(sections().folder / "sections") == whole


def test_maps_alone_fit_the_answering_protocols_cells(scratch: Path) -> None:
    """Without the pre-trained models normal tissue is read and proven all the same; no board of slides is shown."""
    write_params(scratch, values(protocols=[MAPS], models=["bulk_train_mean"]))
    run = run_all()
    assert [board.name for board in run.boards] == [SECTIONS]
    assert (answers("bulk_train_mean") / SECTIONS / f"{SECTION}.parquet").is_file()
    assert {path.name for path in SCORES.glob("*/*")} == {SECTIONS}
    assert record(MAPS, SECTIONS, "bulk_train_mean").status == "scored"


def test_a_second_protocol_is_one_file(scratch: Path) -> None:
    Path("second.py").write_text(SECOND)
    entries = {name: entry for name, entry in cohorts().items() if name in (COHORT, EXTERNAL)}
    told = {"protocols": ["second.py", EXPRESSION], "models": ["bulk_train_mean"], "cohorts": {"bulk": entries}}
    write_params(scratch, values(**told))
    run_all()
    second, first = (record(name, COHORT, "bulk_train_mean") for name in ("whole_cohort", EXPRESSION))
    assert second.summary == first.summary
    assert [one["key"] for one in second.metrics] == [first.metrics[0]["key"], "rmse"]
    assert record("whole_cohort", AVERAGE, "bulk_train_mean").protocol_title == "Another question"


def test_reasons_why_a_model_is_not_asked(scratch: Path) -> None:
    real = {key: value for key, value in cohorts()[COHORT].items() if key != "truth"}
    write_params(scratch, values(protocols=[EXPRESSION], cohorts={"bulk": {COHORT: real}}))
    run = the_run()
    run_read(run)
    run_ask(run)
    reasons = {cell.entry.name: cell.reason for cell in cells_of(run, {})}
    assert reasons == {
        "bulk_oracle": "needs a known truth, and a real cohort has none",
        "bulk_train_mean": "",
        "ridge_mean_feature": "",
        NETWORK: "pre-trains on normal tissue, and cohorts.bulk has none",
    }


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (COHORT, {"files": {"manifst": "x"}}, r"unknown key 'manifst'.*did you mean 'manifest'"),
        (COHORT, {"files": {"manifest": "gbm/gdc/manifest.txt"}}, "no sample_sheet; .*reader gdc"),
        (COHORT, {"root": "dta"}, r"no such file or folder.*dvc pull.*cohorts\.bulk\.phantom_gbm\.root"),
        (COHORT, {"genes": 9}, "genes is set"),
        (EXTERNAL, {"external": "phantom_gmb"}, "external is 'phantom_gmb'.*did you mean 'phantom_gbm'"),
        (SECTIONS, {"sections_of": EXTERNAL}, f"sections_of is '{EXTERNAL}'"),
        (SECTIONS, {"window": 3}, "windows of 3 x 3 tiles.*as many as super-tiles"),
        (NORMAL, {"external": COHORT}, "one role of external, normal"),
        (EXTERNAL, {"normal": True, "external": None}, "2 cohorts of normal tissue"),
    ],
)
def test_a_misspelt_cohort_is_one_clear_line(scratch: Path, name: str, change: dict[str, Any], says: str) -> None:
    entries = cohorts()
    write_params(scratch, values(cohorts={"bulk": entries | {name: entries[name] | change}}))
    with pytest.raises(UserError, match=says) as caught:
        run_read(the_run())
    assert "\n" not in str(caught.value)


def test_maps_without_sections_are_refused(scratch: Path) -> None:
    write_params(scratch, values(cohorts={"bulk": {COHORT: cohorts()[COHORT]}}))
    with pytest.raises(UserError, match="no sections for gbm_spatial"):
        run_read(the_run())


def test_a_section_whose_name_is_a_path_is_refused(scratch: Path) -> None:
    path = Path("data/sections.csv")
    path.write_text(path.read_text().replace(SECTION + ",", "../" + SECTION + ","))
    with pytest.raises(UserError, match=r"section '\.\./UKF900_T_ST' is no plain name"):
        run_read(the_run())


def test_what_no_table_names_changes_nothing(scratch: Path) -> None:
    """The key of a cohort covers what its reader reads: count files one by one, not the folder they lie in."""
    run = the_run()
    requests, named = run.requests("bulk"), run.tasks["bulk"].data_files
    for name in ("gbm/gdc/notes.txt", "gbm/more.svs", "another.txt"):
        Path("data", name).write_text("a file that nobody names")
    files = {name: set(named(requests[name])) for name in requests}
    counts = {path for path in files[COHORT] if "star_gene_counts" in path.name}
    assert len(counts) >= 25
    slides = pd.read_csv("data/gbm/slides.csv")["path"]
    tables = {"manifest.txt", "sample_sheet.tsv", "slides.csv"}
    assert {path.name for path in files[COHORT] - counts} == tables | {Path(path).name for path in slides}
    assert files[SECTIONS] == {
        Path("data/sections.csv"),
        *(Path("data") / path for path in pd.read_csv("data/sections.csv")[["outs", "image"]].to_numpy().ravel()),
    }
    assert all(path.is_file() for name in (COHORT, EXTERNAL, NORMAL) for path in files[name])
    assert not any("truth" in path.parts for found in files.values() for path in found)


def test_count_files_beside_the_tables_are_named_too(scratch: Path) -> None:
    """GDC's client may have been told to write where the manifest is: ``files`` is then left out."""
    for path in Path("data/gbm/gdc").iterdir():
        shutil.move(str(path), Path("data") / path.name)
    files = {"manifest": "manifest.txt", "sample_sheet": "sample_sheet.tsv", "slides": "gbm/slides.csv"}
    write_params(
        scratch, values(protocols=[EXPRESSION], cohorts={"bulk": {COHORT: cohorts()[COHORT] | {"files": files}}})
    )
    run = the_run()
    (request,) = run.requests("bulk").values()
    assert sum("star_gene_counts" in path.name for path in run.tasks["bulk"].data_files(request)) >= 25
