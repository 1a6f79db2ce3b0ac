from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from protocols.errors import UserError
from protocols.expression.cohort import SlideEntry
from protocols.readers import checks
from protocols.readers.assemble import build_slide


def entry(**options):
    return SlideEntry("s", "p", "c", {}, options)


def slide(**changed):
    given = {
        "unit": "cell",
        "image": Path("i.tif"),
        "size": (100, 50),
        "mpp": 0.5,
        "ids": np.array(["a", "b"]),
        "xy_px": np.array([[1.0, 2.0], [99.0, 49.0]]),
        "names": ["g1", "g2"],
        "counts": np.array([[1, 0], [0, 2]]),
        "where": "here",
    }
    return build_slide(changed.pop("entry", entry()), **(given | changed))


def test_a_whole_slide_passes():
    result = slide()
    assert result.counts.dtype == np.int32
    assert result.counts.toarray().tolist() == [[1, 0], [0, 2]]
    assert result.units["x_px"].tolist() == [1.0, 99.0]
    assert result.notes == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": np.array(["a", "a"])}, "more than once"),
        ({"counts": np.array([[1, 0], [0, -2]])}, "negative"),
        ({"counts": np.array([[1, 0.5], [0, 2]])}, "not whole"),
        ({"counts": np.array([[1, np.nan], [0, 2]])}, "not finite"),
        ({"counts": np.array([[1, 2**40], [0, 2]])}, "above 2,147,483,647"),
        ({"counts": np.zeros((2, 2))}, "empty"),
        ({"counts": np.ones((2, 3))}, "2 × 3"),
        ({"xy_px": np.array([[1.0, np.nan], [2, 2]])}, "no finite position"),
        ({"xy_px": np.array([[1.0, 2], [100.0, 2]])}, r"1 of 2 cells \(50%\) lie outside"),
        ({"mpp": None}, "micrometres per pixel are unknown"),
        ({"mpp": float("nan")}, "micrometres per pixel are unknown"),
        ({"names": ["g1", "7"]}, "gene ids are unknown"),
        ({"names": ["g1", " "]}, "gene ids are unknown"),
        ({"names": ["g1", "nan"]}, "gene ids are unknown"),
        ({"ids": np.array([]), "xy_px": np.zeros((0, 2)), "counts": np.zeros((0, 2))}, "empty"),
    ],
)
def test_each_fault_gets_one_clear_line(changed, message):
    with pytest.raises(UserError, match=message) as caught:
        slide(**changed)
    assert "\n" not in str(caught.value)


def test_a_few_units_outside_are_left_out_and_noted():
    number = 100
    xy = np.full((number, 2), 10.0)
    xy[7] = [-1, 10]
    counts = np.arange(1, number + 1)[:, None]
    result = slide(ids=np.arange(number).astype(str), xy_px=xy, counts=counts, names=["g"])
    assert len(result.units) == result.counts.shape[0] == 99
    assert "7" not in set(result.units["cell_id"])
    assert 8 not in result.counts.toarray()
    assert any("1 of 100" in note for note in result.notes)


def test_the_allowed_share_outside_is_an_option():
    xy = np.array([[1.0, 2], [100.0, 2]])
    assert len(slide(xy_px=xy, entry=entry(max_outside="0.5")).units) == 1


def test_columns_of_one_gene_are_added_up_in_the_order_of_first_sight():
    genes, counts, notes = checks.named_genes(
        ["b", "a", "b"], sparse.csr_matrix(np.array([[1, 2, 4], [8, 16, 32]], np.int32)), where="here"
    )
    assert genes == ("b", "a")
    assert counts.toarray().tolist() == [[5, 2], [40, 16]]
    assert len(notes) == 1


def test_a_fraction_is_a_number_and_nonsense_is_not():
    assert checks.option_number(entry(pixel_scale="2000/6954"), "pixel_scale") == 2000 / 6954
    for text in ("0", "-1", "x", "1/0", "nan"):
        with pytest.raises(UserError, match="pixel_scale"):
            checks.option_number(entry(pixel_scale=text), "pixel_scale")


def test_a_choice_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'keypoints'"):
        checks.option_choice(entry(alignment="keypoint"), "alignment", ("csv", "keypoints"))


def test_identifiers_of_all_kinds_become_text():
    assert checks.as_text([b"a", "b", 3, 4.0, 4.5]).tolist() == ["a", "b", "3", "4", "4.5"]
