"""A newcomer's timm network with a .pth file, by params alone, on every board whose models read an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from baselines.staining.parts.pairs import Plan
from baselines.staining.past_generator import PASTGenerator
from protocols.errors import UserError
from protocols.files import sha256_of
from protocols.phantom.bulk import generate_bulk
from protocols.phantom.generate import generate
from protocols.phantom.ihc import generate_ihc
from protocols.phantom.ihc_settings import MINI_IHC
from protocols.phantom.settings import MINI
from protocols.phantom.tcga import generate_tcga
from protocols.phantom.tcga_settings import MINI_TCGA
from protocols.records import ScoreRecord
from reports.cells import load_records
from reports.leaderboard import build_leaderboards
from suite.engine import keys
from suite.engine.inputs import run_inputs
from suite.engine.questions import opened
from suite.engine.report import cells
from suite.engine.run import Run
from suite.places import score_folder
from tests.protocols.phantom.tiny_bulk import TINY_BULK
from tests.suite import bulk_run
from tests.suite.engine_run import default_params, params, run_all, the_run, write_params

TINY = replace(
    MINI, cancers=("breast",), patients_per_cancer=2, lone_cancer=None, image_px=320, oracle_draws=16, replicate_draws=2
)
TINY_TCGA = replace(MINI_TCGA, cohorts=(("brca", 20),), slide=replace(MINI_TCGA.slide, image_px=192, tile_px=192))
TINY_IHC = replace(
    MINI_IHC, profile="tiny", markers=(("ER", 4),), rows=1, columns=1, patch_px=32, candidates=1, reachable_draws=2,
    edge_every=99, blurred_every=99,
)  # fmt: skip
TIMM, PIXELS = "test_resnet", 64
LINES = {
    "ridge_mine": "sklearn.linear_model:Ridge(alpha=10) @ my_net",
    "probe_mine": "uni @ my_net",
    "mcat_mine": "mcat_uni @ my_net",
    "bulk_mine": "ridge_mean_feature @ my_net",
    "sequoia_mine": "sequoia_vis @ my_net",
    "past_mine": "past_generator @ my_net",
}
CELLS = {
    ("intra_patient", "tiny", "ridge_mine"),
    ("intra_patient", "tiny", "probe_mine"),
    ("tcga_survival", "phantom_brca", "mcat_mine"),
    ("tcga_expression", bulk_run.COHORT, "bulk_mine"),
    ("tcga_expression", bulk_run.COHORT, "sequoia_mine"),
    ("gbm_spatial", bulk_run.SECTIONS, "bulk_mine"),
    ("gbm_spatial", bulk_run.SECTIONS, "sequoia_mine"),
    ("ihc4bc", "stains_ER", "past_mine"),
}
BOARDS = [
    ("expression", "intra_patient", "tiny"),
    ("survival", "tcga_survival", "phantom_brca"),
    ("bulk", "tcga_expression", bulk_run.COHORT),
    ("bulk", "gbm_spatial", bulk_run.SECTIONS),
    ("staining", "ihc4bc", "stains_ER"),
]


def network(name: str = TIMM, seed: int = 0, **more: Any) -> torch.nn.Module:
    """A timm network with weights of its own, batch norms with a past among them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: torch.nn.Module = timm.create_model(name, pretrained=False, num_classes=7, **more)
        made.train()
        with torch.no_grad():
            made(torch.rand(4, 3, PIXELS, PIXELS))
    return made.eval()


def entry(path: str = "my_net.pth", **changes: Any) -> dict[str, Any]:
    weights = {"path": path, "sha256": sha256_of(Path(path))}
    return {"timm": TIMM, "pixels": PIXELS, "weights": weights} | changes


def values(encoder: dict[str, Any]) -> dict[str, Any]:
    known = default_params()
    survival = known["cohorts"]["survival"]["phantom_brca"] | {"root": "tcga", "truth": "tcga/truth"}
    bulk = {name: bulk_run.cohorts()[name] for name in (bulk_run.COHORT, bulk_run.SECTIONS)}
    expression = {"reader": "xenium", "root": "cells", "manifest": "cells/slides.csv", "truth": "cells/truth"}
    stains = {"root": "ihc/jitter", "markers": ["ER"], "mpp": 1.0, "aligned": "ihc/exact", "truth": "ihc/truth"}
    return params(
        protocols=sorted({protocol for protocol, _, _ in CELLS}),
        models=list(LINES),
        adapters=LINES,
        encoders={"my_net": encoder},
        cohorts={
            "expression": {"tiny": expression},
            "survival": {"phantom_brca": survival},
            "bulk": bulk,
            "staining": {"stains": stains},
        },
        tasks={
            **bulk_run.settings(average=[]),
            "expression": known["tasks"]["expression"],
            "survival": {"tile": known["tasks"]["survival"]["tile"]},
            "staining": {"folds": 2, "tile_px": 32, "shift_px": 1},
        },
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a finished run."""
    folder = tmp_path_factory.mktemp("checkout")
    generate(folder / "cells", TINY, seed=0)
    generate_tcga(folder / "tcga", TINY_TCGA, seed=0)
    generate_bulk(folder / "data", TINY_BULK, 0)
    generate_ihc(folder / "ihc", TINY_IHC, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(PASTGenerator, "plan", lambda _self, _profile: Plan(2, 1e-3, steps=3, crop=0))
        torch.save(network().state_dict(), "my_net.pth")
        write_params(folder, values(entry()))
        run_all()
        yield folder


@pytest.fixture
def run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(checkout)
    write_params(checkout, values(entry()))
    return the_run()


def test_it_stands_on_every_board(run: Run) -> None:
    """With the file's name and hash as the encoder's weights, not as a random start."""
    boards = build_leaderboards(load_records(cells(run)), run.config.seed)
    rows = {(board.protocol, board.board, row.model): row for board in boards for row in board.rows}
    assert {key for key in rows if key[2] in LINES} == CELLS
    assert {rows[key].group for key in CELLS} == {"ranked"}
    for protocol, board, model in CELLS:
        record = ScoreRecord.read(score_folder(protocol, board, model, 0))
        assert (record.status, record.card["encoder"]) == ("scored", "my_net")
        assert record.headline.mean is not None
        told = [{key: one[key] for key in ("part", "source", "revision", "sha256")} for one in record.weights]
        sha256 = sha256_of(Path("my_net.pth"))
        assert {"part": "my_net", "source": "my_net.pth", "revision": None, "sha256": sha256} in told


def test_every_protocol_here_was_asked(run: Run) -> None:
    """Of every task that has anything for an encoder to look at."""
    from protocols.registry import load_protocol, load_task, protocol_modules

    of_task = {load_protocol(name).task for name in protocol_modules()}
    of_task = {task for task in of_task if load_task(task).crops is not None}
    assert {task for task, _, _ in BOARDS} == of_task
    assert {(protocol, board) for _, protocol, board in BOARDS} == {(protocol, board) for protocol, board, _ in CELLS}


@pytest.mark.parametrize(("task", "cohort"), [("expression", "tiny"), ("survival", "phantom_brca")])
def test_what_models_read_is_what_the_network_says_of_the_crops(run: Run, task: str, cohort: str) -> None:
    """By torch and timm alone: pixels over 255, ImageNet's normalisation, the features before the classifier."""
    found = run_inputs(run)[task, cohort, "my_net", 0]
    crops = run.tasks[task].crops(opened(run.tasks[task], run.requests(task)[cohort]))[0]  # type: ignore[misc]
    rows = np.arange(0, len(crops.rows), 7)
    pixels = torch.from_numpy(crops.source.read(crops.rows[rows])).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = network().forward_head(network().forward_features((pixels - mean) / std), pre_logits=True)  # type: ignore[operator]
    stored = np.load(found.sets[crops.key] / "embedding.npy")[rows]
    assert pixels.shape[-1] == PIXELS
    np.testing.assert_allclose(stored, expected.numpy(), rtol=1e-4, atol=1e-4)
    assert stored.std(axis=0).max() > 0


def test_other_weights_are_another_encoder(run: Run, checkout: Path) -> None:
    task = run.tasks["expression"]
    before = keys.of_embedding(run, task, "my_net", "", 0)
    torch.save(network(seed=1).state_dict(), "other.pth")
    write_params(checkout, values(entry("other.pth")))
    assert keys.of_embedding(the_run(), task, "my_net", "", 0) != before
    (checkout / "elsewhere").mkdir()
    (checkout / "elsewhere" / "my_net.pth").write_bytes((checkout / "my_net.pth").read_bytes())
    write_params(checkout, values(entry("elsewhere/my_net.pth")))
    assert keys.of_embedding(the_run(), task, "my_net", "", 0) == before


def refused(checkout: Path, encoder: dict[str, Any]) -> str:
    write_params(checkout, values(encoder))
    with pytest.raises(UserError) as caught:
        run_inputs(the_run())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_of_another_network_are_refused_with_their_keys(run: Run, checkout: Path) -> None:
    torch.save(network("test_vit", img_size=PIXELS).state_dict(), "vit.pth")
    said = refused(checkout, entry("vit.pth"))
    own, given = set(network().state_dict()), set(torch.load("vit.pth", weights_only=True))
    missing, unexpected = said.split("missing ")[1].split("; unexpected ")
    assert missing.split(", ")[0] == min(own - given)
    assert unexpected.split(", ")[0] == min(key for key in given - own if not key.startswith("head."))
    assert said.startswith("vit.pth: keys differ: ")
    assert "the layout of my_net (test_resnet)" in said


def test_one_renamed_entry_is_named_on_both_sides(run: Run, checkout: Path) -> None:
    state = network().state_dict()
    state["conv1.0.wieght"] = state.pop("conv1.0.weight")
    torch.save(state, "typo.pth")
    said = refused(checkout, entry("typo.pth"))
    assert "missing conv1.0.weight; unexpected conv1.0.wieght" in said
    assert "did you mean 'conv1.0.weight'?" in said


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"timm": "test_resnett"},
            "timm has no model 'test_resnett'; expected a name of timm; did you mean 'test_resnet'?",
        ),
        ({"kwargs": {"depht": 3}}, "test_resnet: "),
        ({"kwargs": {"in_chans": 4}}, "conv1.0.weight has shape (16, 3, 3, 3); expected (16, 4, 3, 3); name the model"),
        ({"weights": {"path": "my_net.pth", "sha256": "0" * 64}}, "my_net.pth: sha256 is "),
        ({"weights": {"path": "my_net.pth"}}, "incomplete entry"),
    ],
)
def test_an_entry_that_does_not_fit(run: Run, checkout: Path, changes: dict[str, Any], says: str) -> None:
    assert says in refused(checkout, entry() | changes)


def test_a_misspelt_encoder_is_the_nearest(run: Run, checkout: Path) -> None:
    told = values(entry())
    write_params(checkout, told | {"adapters": LINES | {"mcat_mine": "mcat_uni @ my_nett"}})
    with pytest.raises(
        UserError, match=r"the card of mcat_mine: encoder 'my_nett' is unknown: did you mean 'my_net'\?"
    ):
        assert the_run().models
