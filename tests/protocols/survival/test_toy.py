"""The made-up patients: the same from the same seed, with holes, and with the ceilings that were planted."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.metrics.concordance import harrell
from protocols.survival.contract import signature_columns
from protocols.survival.toy import CLINICAL, SIGNATURES, TILE_WIDTH, inputs_of, take, toy_survival
from protocols.survival.views import PatientView, SurvivalTrainingView


def test_shapes_and_holes() -> None:
    toy = toy_survival()
    assert len(toy) == len(toy.time) == len(toy.event) == 120
    assert (toy.clinical.shape, toy.genomic.shape) == ((120, len(CLINICAL)), (120, 36))
    assert [str(table.dtype) for table in (toy.clinical, toy.genomic, toy.time)] == ["float32", "float32", "float64"]
    assert {"age", "stage"} <= set(toy.clinical_features)
    assert list(toy.genomic_features) == sorted(toy.genomic_features)
    columns = signature_columns(toy.genomic_features, toy.signatures)
    assert [len(found) for found in columns.values()] == [6] * len(SIGNATURES)
    for table in (toy.clinical, toy.genomic):
        assert 0.02 < np.isnan(table).mean() < 0.09
    assert np.isfinite(toy.time).all()
    assert (toy.time > 0).all()
    assert 0.4 < toy.event.mean() < 0.9


def test_bags_are_three_to_nine_tiles_of_the_patient_asked_for() -> None:
    toy = toy_survival()
    sizes = {len(toy.bag(k)) for k in range(len(toy))}
    assert sizes == set(range(3, 10))
    assert toy.bag(0).shape[1] == toy.bag_width == TILE_WIDTH
    assert take(toy, np.array([5, 2])).bag(1).tobytes() == toy.bag(2).tobytes()


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    first, second, other = toy_survival(seed=3), toy_survival(seed=3), toy_survival(seed=4)
    for name in ("time", "event", "clinical", "genomic"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.bag(7).tobytes() == second.bag(7).tobytes()
    assert first.time.tobytes() != other.time.tobytes()
    assert first.bag(7).tobytes() != other.bag(7).tobytes()


def test_inputs_hold_no_follow_up() -> None:
    inputs = inputs_of(toy_survival())
    assert type(inputs) is PatientView
    assert not hasattr(inputs, "time")
    assert not hasattr(inputs, "event")


def test_take_keeps_rows_together() -> None:
    toy, at = toy_survival(), np.array([9, 0, 40])
    taken = take(toy, at)
    assert isinstance(taken, SurvivalTrainingView)
    assert taken.patient.tolist() == ["toy-009", "toy-000", "toy-040"]
    np.testing.assert_array_equal(taken.genomic, toy.genomic[at])
    np.testing.assert_array_equal(taken.time, toy.time[at])
    np.testing.assert_array_equal(taken.oracle("all"), toy.oracle("all")[at])
    assert type(take(inputs_of(toy), at)) is PatientView


def test_the_whole_truth_orders_patients_best_and_each_part_better_than_chance() -> None:
    toy = toy_survival(n=600)
    reached = {
        which: harrell(toy.time, toy.event, toy.oracle(which)).value or 0 for which in ("all", "image", "genome")
    }
    assert reached["all"] > 0.8
    assert all(0.62 < reached[part] < reached["all"] - 0.05 for part in ("image", "genome"))


def test_what_is_planted_shows_in_the_data() -> None:
    toy = toy_survival(n=600)
    tiles = np.array([toy.bag(k)[:, :3].mean() for k in range(len(toy))])
    gene = toy.genomic[:, toy.genomic_features.index("A0_rnaseq")]
    seen = np.isfinite(gene)
    assert np.corrcoef(tiles, toy.oracle("image"))[0, 1] > 0.9
    assert np.corrcoef(gene[seen], toy.oracle("genome")[seen])[0, 1] > 0.999
    assert abs(np.corrcoef(toy.oracle("image"), toy.oracle("genome"))[0, 1]) < 0.12


def test_an_unknown_oracle_is_named() -> None:
    with pytest.raises(UserError, match="did you mean 'image'"):
        toy_survival(n=10).oracle("imge")
