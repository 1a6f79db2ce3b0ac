"""SEQUOIA's published fold weights: who is answered by which, what is recorded, and every way to get it wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.bulk.parts.released_folds import CANCERS, GENES, SPLITS, fold_parts
from baselines.bulk.sequoia_released_weights import SequoiaReleasedWeights
from baselines.networks.sequoia_checkpoint import network_of
from baselines.networks.sequoia_networks import MINI
from protocols.contract import Settings
from protocols.errors import NotThere, UserError
from tests.baselines.bulk_toy import ToySlides, toy
from tests.parity.vectors import read

STATE = read("sequoia_vis").state()
"""The keys of the release at its smallest stored sizes, which are those of the profile mini."""
TRAIN, TEST = toy(40, 9, 64, 11), toy(12, 9, 64, 11, seed=1)
PATIENTS = sorted({*TRAIN.patient.tolist(), *TEST.patient.tolist()})
STRANGER = PATIENTS[0]
"""In no published list, as a patient of another cohort."""
HELD = [PATIENTS[1 + fold :: 5] for fold in range(5)]
ENTRIES = dict[str, dict[str, str]]


def fold_state(fold: int) -> dict[str, torch.Tensor]:
    """Weights that differ from fold to fold."""
    return {key: part * (1 + 0.1 * fold) if part.ndim > 1 else part for key, part in STATE.items()}


def luad(first: bool) -> dict[str, list[str]]:
    """One patient, whom the first fold held out."""
    return {"train": [] if first else ["x"], "val": [], "test": ["x"] if first else []}


def splits() -> dict[str, Any]:
    every = PATIENTS[1:]
    return {
        "TCGA-BRCA": {
            f"fold_{fold}": {
                "train": [one for one in every if one not in held][3:],
                "val": [one for one in every if one not in held][:3],
                "test": held,
            }
            for fold, held in enumerate(HELD)
        },
        "TCGA-LUAD": {f"fold_{fold}": luad(fold == 0) for fold in range(5)},
    }


@pytest.fixture
def entries(tmp_path: Path) -> ENTRIES:
    (tmp_path / "gene_list.csv").write_text("\n".join(["gene", *TRAIN.genes]) + "\n")
    (tmp_path / "splits.json").write_text(json.dumps(splits()))
    files = {GENES: tmp_path / "gene_list.csv", SPLITS: tmp_path / "splits.json"}
    for fold, part in enumerate(fold_parts("brca")):
        files[part] = tmp_path / f"{part}.safetensors"
        save_file(fold_state(fold), files[part])
    return {part: named(path) for part, path in files.items()}


def named(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def fitted(entries: ENTRIES, train: ToySlides = TRAIN) -> SequoiaReleasedWeights:
    model = SequoiaReleasedWeights()
    model.fit(replace(train, settings=Settings(threads=1, weights=entries, parts=model.card.parts)))
    return model


@torch.no_grad()
def answers(fold: int, slides: ToySlides) -> np.ndarray:
    """By the network alone: absent places are zeros that count."""
    network = network_of(fold_state(fold), "vis", MINI, where="test").eval()
    answer: torch.Tensor = network(torch.from_numpy(slides.features), torch.ones(len(slides), 9, dtype=torch.bool))
    return answer.numpy()


def test_a_patient_is_answered_by_the_fold_that_held_it_out(entries: ENTRIES) -> None:
    model, asked = fitted(entries), TEST
    found = model.predict(asked)
    by_fold = np.stack([answers(fold, asked) for fold in range(5)])
    assert STRANGER in asked.patient
    for row, patient in enumerate(asked.patient.tolist()):
        folds = [fold for fold in range(5) if patient in HELD[fold]] or list(range(5))
        assert len(folds) == (5 if patient == STRANGER else 1)
        np.testing.assert_allclose(found[row], by_fold[folds, row].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert np.ptp(by_fold, axis=0).max() > 0.1


def test_every_file_stands_in_the_record(entries: ENTRIES, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(fold_state(7), other)
    more = entries | {"sequoia_luad_0": named(other)}
    records = fitted(more).weights()
    assert {one.sha256 for one in records} == {one["sha256"] for one in more.values()}
    assert {one.part for one in records} == {*entries, "sequoia_luad_0, not of this cohort: never asked"}
    settings = Settings(weights=more, parts=SequoiaReleasedWeights.card.parts)
    assert {(one.part, one.sha256) for one in SequoiaReleasedWeights.load_weights(settings)} == {
        (part, one["sha256"]) for part, one in more.items()
    }


def test_genes_are_those_of_the_list_in_its_order(entries: ENTRIES) -> None:
    model, asked = fitted(entries), replace(TEST, genes=("g7", "g2"))
    np.testing.assert_array_equal(model.predict(asked), model.predict(TEST)[:, [7, 2]])
    with pytest.raises(UserError, match="asked for 'g99'"):
        model.predict(replace(TEST, genes=("g99",)))


def test_windows_hang_on_one_tile_as_released_and_the_twin_knows_nothing(entries: ENTRIES) -> None:
    model, windows = fitted(entries), replace(TEST, windows=True)
    changed = TEST.features.copy()
    changed[:, 1:] = 0.5
    np.testing.assert_array_equal(model.predict(replace(windows, features=changed)), model.predict(windows))
    assert model.window_rule == "released"
    twin = model.predict_untrained(TEST)
    np.testing.assert_array_equal(fitted(entries).predict_untrained(TEST), twin)
    assert np.abs(twin - model.predict(TEST)).max() > 0.1


def mend(entries: ENTRIES, part: str, change: Callable[[Path], None]) -> ENTRIES:
    """The entry of a file that was changed, with its new hash."""
    path = Path(entries[part]["path"])
    change(path)
    return entries | {part: named(path)}


def without(path: Path) -> None:
    save_file({key: part for key, part in load_file(path).items() if key != "linear_head.0.bias"}, path)


def with_more(path: Path) -> None:
    save_file(load_file(path) | {"linear_head.2.bias": torch.zeros(3)}, path)


def narrower(path: Path) -> None:
    state = load_file(path)
    save_file(state | {"linear_head.0.bias": state["linear_head.0.bias"][:5].clone()}, path)


def a_head_of_its_own_width(path: Path) -> None:
    state, key = load_file(path), "transformer.layers.0.0.mixers.2.f.weight"
    save_file(state | {key: state[key][:, :5].clone()}, path)


def deeper(path: Path) -> None:
    state = load_file(path)
    save_file(
        state | {key.replace(".1.", ".2.", 1): part.clone() for key, part in state.items() if ".layers.1." in key}, path
    )


def leaking(path: Path) -> None:
    told = splits()
    told["TCGA-BRCA"]["fold_2"]["val"].append(HELD[2][0])
    path.write_text(json.dumps(told))


def never_held_out(path: Path) -> None:
    told = splits()
    told["TCGA-BRCA"]["fold_2"]["test"] = HELD[2][1:]
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("sequoia_brca_3", without, r"keys differ: missing norm\.bias; unexpected none"),
        ("sequoia_brca_3", with_more, r"keys differ: missing none; unexpected linear_head\.2\.bias"),
        ("sequoia_brca_3", narrower, r"norm.bias has shape \(5,\)"),
        ("sequoia_brca_3", a_head_of_its_own_width, "heads of different shapes"),
        ("sequoia_brca_3", deeper, "expected SEQUOIA's vis with 2 blocks of 4 heads"),
        ("sequoia_brca_3", lambda path: save_file({"x": torch.zeros(2)}, path), "no SEQUOIA"),
        (GENES, lambda path: path.write_text("gene\nA\nB\n"), "weights of 11 genes"),
        (GENES, lambda path: path.write_text("gene\nA\nA\n"), "no list of different genes"),
        (GENES, lambda path: path.write_text("symbol\nA\n"), "no list of different genes"),
        (SPLITS, lambda path: path.write_text("{}}"), "unreadable splits"),
        (SPLITS, leaking, "is on both sides of a fold"),
        (SPLITS, never_held_out, "held out by exactly one fold"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    part: str, change: Callable[[Path], None], message: str, entries: ENTRIES
) -> None:
    with pytest.raises(UserError, match=message):
        fitted(mend(entries, part, change))


def test_missing_and_changed_files_are_one_line(entries: ENTRIES) -> None:
    with pytest.raises(NotThere, match=r"no weights\.sequoia_brca_2; .*gevaertlab/sequoia-brca-2"):
        fitted({part: one for part, one in entries.items() if part != "sequoia_brca_2"})
    with pytest.raises(NotThere, match=f"no weights.{GENES}"):
        fitted({})
    with pytest.raises(UserError, match="sha256 is"):
        fitted(entries | {"sequoia_brca_2": entries["sequoia_brca_2"] | {"sha256": "0" * 64}})


def test_a_cohort_of_no_or_several_cancers_is_one_line(entries: ENTRIES) -> None:
    def called(*names: str) -> ToySlides:
        return replace(TRAIN, patient=np.array([names[row % len(names)] for row in range(len(TRAIN))]))

    with pytest.raises(UserError, match="splits of no cancer"):
        fitted(entries, called("somebody"))
    with pytest.raises(UserError, match="splits of brca, luad"):
        fitted(entries, called(PATIENTS[5], "x"))
    with pytest.raises(UserError, match="4 places of 64 features"):
        fitted(entries).predict(toy(5, 4, 64, 11))


def test_the_card_names_every_part() -> None:
    assert len(SequoiaReleasedWeights.card.checkpoints) == 2 + 5 * len(CANCERS) == 82
