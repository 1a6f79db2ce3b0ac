"""The reader of parity vectors itself: the formula's check values, folds of keys, comparison, and the table."""

import math
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.parity.formula import CHUNK, a, fill_by_formula, fill_tensor, image
from tests.parity.table import FOLDER_VARIABLE, Row, closest, note, read_rows, systems_listed, table
from tests.parity.vectors import Vectors, difference, expand


def filled(key: str, *shape: int) -> torch.Tensor:
    tensor = torch.zeros(shape)
    fill_tensor(key, tensor)
    return tensor


class TestFormula:
    def test_check_values_of_the_numbers(self) -> None:
        expected = [0.752898258, -0.606338508, 0.333670114, 0.045748897, 0.309523471]
        np.testing.assert_allclose(a("x", 5, np.float64), expected, atol=5e-10)

    @pytest.mark.parametrize(
        ("key", "shape", "first"),
        [
            ("wsi_net.0.weight", (256, 1024), [0.069534458, 0.035323132, 0.038941249, -0.057754744]),
            ("norm.weight", (8,), [0.996096671, 1.059277892, 0.908069313]),
            ("norm.bias", (8,), [0.015713956, 0.043742806, -0.013779088]),
            ("pos_embed", (1, 3, 4), [0.043374438, 0.246008083, -0.310087979]),
        ],
    )
    def test_check_values_of_weights(self, key: str, shape: tuple[int, ...], first: list[float]) -> None:
        np.testing.assert_allclose(filled(key, *shape).flatten()[: len(first)], first, atol=5e-9)

    def test_pieces_join_without_a_seam(self) -> None:
        """One integer at a time, in Python's own, across the border of a piece."""
        for i in (CHUNK - 1, CHUNK, 3 * CHUNK + 5):
            h = (2654435761 * i + zlib.crc32(b"seam")) % 2**32
            h ^= h >> 16
            h = (2246822519 * h) % 2**32
            h ^= h >> 13
            h = (3266489917 * h) % 2**32
            h ^= h >> 16
            assert a("seam", 4 * CHUNK, np.float64)[i] == h / 2**31 - 1

    def test_a_variance_is_at_least_one(self) -> None:
        drawn = filled("bn.running_var", 500)
        assert 1 <= drawn.min() < drawn.max() <= 1.2

    def test_what_keeps_its_value(self) -> None:
        state = {"temperature": torch.tensor(0.07), "index": torch.arange(3), "layers.0.attn_mask": torch.ones(2, 2)}
        fill_by_formula(state)
        assert state["temperature"] == 0.07
        assert state["index"].tolist() == [0, 1, 2]
        assert state["layers.0.attn_mask"].tolist() == [[1, 1], [1, 1]]

    def test_a_module_s_state_is_filled_in_place(self) -> None:
        layer = torch.nn.Linear(4, 2)
        fill_by_formula(layer.state_dict())
        assert torch.equal(layer.weight, filled("weight", 2, 4))

    def test_alternative_rule(self) -> None:
        tensor = torch.zeros(2, 8)
        fill_tensor("k", tensor, "alternative")
        expected = [math.sin(0.37 * i + zlib.crc32(b"k") % 1000) * math.sqrt(2 / 8) for i in range(16)]
        np.testing.assert_allclose(tensor.flatten(), expected, atol=1e-7)

    def test_a_large_tensor_is_quick(self) -> None:
        """Ten million numbers; a large transformer has thirty times as many. A minute would be two seconds here."""
        start = time.process_time()
        filled("large.weight", 2500, 4000)
        assert time.process_time() - start < 2

    def test_image(self) -> None:
        made = image(260, 300)
        assert made.shape == (260, 300, 3)
        assert made[0, :3, 0].tolist() == [0, 11, 22]
        assert made[10, 20, 2] == (70 + 220 + 106 + 200 % 97) % 256


class TestReading:
    def test_folded_keys(self) -> None:
        entries = [["a.weight", [2, 3]], ["b.#.bias", [4], "0-1,5"], ["c.#.0.#.w", [1], "2"]]
        assert expand(entries) == {
            "a.weight": (2, 3),
            "b.0.bias": (4,),
            "b.1.bias": (4,),
            "b.5.bias": (4,),
            "c.2.0.#.w": (1,),
        }

    def test_state(self) -> None:
        vectors = Vectors("v", {"system": "s", "weights": {"keys": [["norm.bias", [8]]], "other": [["x", [2]]]}})
        assert vectors.state()["norm.bias"][0].item() == pytest.approx(0.015713956)
        assert vectors.shapes("other") == {"x": (2,)}


class TestDifference:
    entry = {"shape": [2, 3], "at_flat_index": [0, 5], "values": [1.0, -4.0], "l2": 5.0, "sum": 0.5}  # noqa: RUF012
    right = ((1.0, 2.0, 2.0), (0.0, -0.5, -4.0))

    def test_nothing_differs(self) -> None:
        right = torch.tensor(self.right)
        entry = self.entry | {"l2": float(right.norm()), "sum": 0.5}
        assert difference(right, entry) < 1e-7

    def test_relative_to_the_largest_expected_value(self) -> None:
        assert difference([1.0, 2.0, -4.0], [1.0, 2.0, -3.0]) == pytest.approx(1 / 3)
        assert difference([1.0, 2.0, -4.0], [1.0, 2.0, -3.0], absolute=True) == pytest.approx(1)

    @pytest.mark.parametrize("name", ["l2", "sum"])
    def test_a_place_that_is_not_listed_shows_in_norm_and_sum(self, name: str) -> None:
        right = np.array(self.right)
        entry = {key: value for key, value in self.entry.items() if key not in ("l2", "sum")}
        whole = {"l2": float(np.linalg.norm(right)), "sum": float(right.sum())}
        wrong = right.copy()
        wrong[0, 1] += 1
        assert difference(right, entry | {name: whole[name]}) < 1e-12
        assert difference(wrong, entry) == 0
        assert difference(wrong, entry | {name: whole[name]}) > 1e-2

    def test_another_shape_is_infinitely_far(self) -> None:
        assert difference([[1.0, 2.0]], [1.0, 2.0]) == math.inf
        assert difference(np.zeros((3, 2)), self.entry) == math.inf

    def test_not_a_number_only_where_expected(self) -> None:
        assert difference([math.nan, 1.0], [math.nan, 1.0]) == 0
        assert difference([math.nan, 1.0], [0.0, 1.0]) == math.inf
        assert difference([0.0, 1.0], [math.nan, 1.0]) == math.inf


class TestTable:
    rows = (Row("v", "System", "x", 1e-7, 1e-5), Row("v", "System", "dx", 2e-6, 1e-4), Row("u", "Other", "x", 0, 1e-6))

    def test_the_comparison_nearest_to_its_tolerance_is_shown(self) -> None:
        assert closest(self.rows[:2]).what == "dx"
        assert table(self.rows).splitlines()[2:] == [
            "| Other | `u` | 0.0e+00 | 1e-06 |",
            "| System | `v` | 2.0e-06 | 1e-04 |",
        ]
        assert systems_listed(table(self.rows)) == ["u", "v"]

    def test_notes_are_written_and_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
        monkeypatch.setattr("tests.parity.table._met", [])
        for row in self.rows:
            note(row.vectors, row.system, row.what, row.difference, row.tolerance)
        assert read_rows(tmp_path) == list(self.rows)

    def test_a_difference_over_the_tolerance_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
        vectors = Vectors("v", {"system": "System", "tolerance": {"relative": 1e-3}, "expected": {"x": {"y": [2.0]}}})
        assert vectors.check([2.001], "x", "y") == pytest.approx(5e-4)
        with pytest.raises(AssertionError, match=r"System, x / y: off by 0\.01, allowed 0\.001"):
            vectors.check([2.02], "x", "y")
