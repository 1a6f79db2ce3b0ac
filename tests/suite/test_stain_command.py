"""``slide2omics stain-slide``: fitted on all pairs, asked about a slide; what is wrong shows before any training."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner, Result

from protocols.errors import UserError
from protocols.phantom.image_file import write_he_image
from protocols.staining.template import template
from suite.config import read_config
from suite.places import CACHE, cohort_folder
from suite.tools.fitted import model_for_slides
from suite.tools.stain_command import fit_on_all, fitted_cohort, stain_slide_command, window_embedder
from tests.protocols.staining.trees import Tree, field_of, write_tree
from tests.suite.engine_run import params, write_params

LOOKS = """
from pathlib import Path
from protocols.contract import Card

class Looks:
    card = Card(name="looks", title="Looks", task="staining", encoder="uni")

    def fit(self, train):
        self.seen = train, sorted(path.name for path in train.workspace.iterdir())
        (train.workspace / "checkpoint").write_text("half way")

    def predict(self, test, rows):
        return test.he(rows)
"""
UUID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run's cohort: 64 px patches at 0.5 µm, tiles of 32 px that cover all of them."""
    root = tmp_path_factory.mktemp("checkout")
    write_tree(root / "tree", Tree(cases=("1001", "1002", "1003"), markers=("ER",), grid=(1, 2)))
    (root / "mine.py").write_text(template().format(name="mine", class_name="Mine", title="Mine"))
    (root / "looks.py").write_text(LOOKS)
    told = params(
        cohorts={"staining": {"tiny": {"root": str(root / "tree"), "markers": ["ER"], "mpp": 0.5}}},
        tasks={"staining": {"tile_px": 32, "source_px": 64}},
        adapters={"mine": "mine.py:Mine", "looks": "looks.py:Looks"},
    )
    write_params(root, told)
    write_he_image(
        root / "slide.ome.tif",
        field_of("slide", 200, 240),
        mpp=1.0,
        levels=1,
        tile=64,
        quality=95,
        name="slide",
        uuid=UUID,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


@pytest.fixture(autouse=True)
def inside(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


def called(target: Path, *more: str, **changed: str) -> Result:
    options = {"model": "mine", "cohort": "tiny", "marker": "ER", "out": str(target)} | changed
    app = typer.Typer()
    app.command()(stain_slide_command)
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(app, ["slide.ome.tif", *given, *more])


def test_a_slide_is_stained_and_what_was_done_is_said(tmp_path: Path) -> None:
    out = tmp_path / "stained.ome.tif"
    found = called(out, "--overlap", "8", "--compression", "deflate")
    assert found.exit_code == 0, found.output
    assert "mine: fitting on 6 pairs of 3 patients, tiny ER" in found.output
    across, down = math.ceil((240 - 32) / 24) + 1, math.ceil((200 - 32) / 24) + 1
    assert f"windows: {across * down} of {across * down} drawn, 0 glass; 32 px, 8 shared" in found.output
    assert "240 × 200 px, 1 µm a pixel" in found.output
    for word in ("seams: gradient across windows' borders / elsewhere ", "(1: invisible)", "peak memory ", " MiB"):
        assert word in found.output
    made, he = tifffile.imread(out, level=0), tifffile.imread("slide.ome.tif", level=0)
    assert made.shape == (200, 240, 3)
    # the template draws each pixel by itself, so the slide's windows must show what one fit says of the whole
    model: Any = load_fitted()
    x = model._pixels(he[None])
    whole = np.clip(np.rint(x @ model.colours), 0, 255).reshape(he.shape).astype(np.uint8)
    assert np.abs(made.astype(int) - whole).max() <= 1


def load_fitted() -> Any:
    config = read_config()
    return fit_on_all(config, fitted_cohort(config, "tiny", "ER"), "ER", model_for_slides(config, "staining", "mine"))


def test_all_pairs_are_fitted_on_with_their_embedding_and_the_workspace_stays() -> None:
    config = read_config()
    cohort, entry = fitted_cohort(config, "tiny", "ER"), model_for_slides(config, "staining", "looks")
    (train, first), (_, second) = (fit_on_all(config, cohort, "ER", entry).seen for _ in range(2))
    assert len(train) == 6
    assert (train.pixels, train.ihc(np.arange(6)).shape) == (32, (6, 32, 32, 3))
    assert not train.validation.any()
    assert (first, second) == ([], ["checkpoint"])
    # windows are embedded as the patches were
    embedded = window_embedder("uni", train.settings)(train.he(np.arange(6)))
    np.testing.assert_allclose(embedded, train.embedding(np.arange(6)), atol=1e-5)


def test_windows_have_the_resolution_of_the_tiles() -> None:
    cohort = fitted_cohort(read_config(), "tiny", "ER")
    assert (cohort.entry.mpp, cohort.settings.downscale) == (0.5, 2.0)  # 64 px of 0.5 µm in 32: 1 µm, as said above


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"cohort": "tinny"}, "unknown cohort of paired patches 'tinny'.*did you mean 'tiny'"),
        ({"marker": "PR"}, "unknown marker 'PR'"),
        ({"model": "mien"}, "unknown model 'mien'.*did you mean 'mine'"),
        ({"model": "bulk_train_mean"}, "answers the task 'bulk'"),
        ({"model": "ihc_oracle"}, "knows the truth, and a slide has none"),
        ({"out": "stained.png"}, "stained.png: the output has another suffix.*ending in .ome.tif"),
        ({"blending": "cosin"}, "unknown blending 'cosin'"),
        ({"tissue": "saturatoin"}, "unknown tissue rule 'saturatoin'"),
        ({"overlap": "32"}, "overlap by 32"),
    ],
)
def test_mistakes_are_one_line_before_any_training(tmp_path: Path, changed: dict[str, str], says: str) -> None:
    found = called(tmp_path / "o.ome.tif", **changed)
    assert isinstance(found.exception, UserError)
    assert "fitting" not in found.output
    with pytest.raises(UserError, match=says):
        raise found.exception
    assert not (tmp_path / "o.ome.tif").exists()


def test_a_slide_without_resolution_is_named_before_any_training(tmp_path: Path) -> None:
    tifffile.imwrite("bare.tif", field_of("bare", 64, 64), photometric="rgb")
    app = typer.Typer()
    app.command()(stain_slide_command)
    options = ["--model", "mine", "--cohort", "tiny", "--marker", "ER", "--out", str(tmp_path / "o.ome.tif")]
    found = CliRunner().invoke(app, ["bare.tif", *options])
    assert isinstance(found.exception, UserError)
    assert "fitting" not in found.output
    assert CliRunner().invoke(app, ["bare.tif", *options, "--mpp", "1.0"]).exit_code == 0


def test_the_cohort_is_read_where_it_was_not(checkout: Path) -> None:
    folder = cohort_folder("staining", "tiny")
    for path in (folder, *CACHE.glob("cohorts/staining/tiny@*")):
        shutil.rmtree(path, ignore_errors=True)
    assert len(fitted_cohort(read_config(), "tiny", "ER").store) == 6
    assert (folder / "cohort.json").exists()
