from __future__ import annotations

import pandas as pd
import pytest

from protocols.errors import UserError
from protocols.readers.hex_splits import audit_split, copied_slides, read_split


def split(tmp_path, text):
    (tmp_path / "split.csv").write_text(text)
    return read_split(tmp_path / "split.csv")


def test_a_fold_is_read_with_halves_of_different_lengths(tmp_path):
    found = split(tmp_path, "patient_train,train,patient_val,val\nP1,1.svs,P3,4\nP1,2,,\nP2,3,,\n")
    assert (found.train, found.validation) == (("1", "2", "3"), ("4",))
    assert found.patient["2"] == {"P1"}
    assert audit_split(found) == ()


def test_each_fault_of_a_fold_is_one_line(tmp_path):
    rows = ["P1,1,P1,4", "P2,2,P9,2", "P3,3,P4,5", "P3,3,,"]
    found = split(tmp_path, "patient_train,train,patient_val,val\n" + "\n".join(rows) + "\n")
    assert audit_split(found, copies=[("1", "5"), ("1", "3")]) == (
        "1 slides are trained on and validated: 2",
        "3 patients are on both sides: P1, P2, P9",  # slide 2 is of P2 and of P9
        "1 slides occur more than once in train: 3",
        "1 slides belong to more than one patient: 2",
        "1 slides are copies of one on the other side: 1 = 5",
    )


def test_copies_are_found_by_their_intensities():
    one = pd.DataFrame({"slide": ["1", "1"], "mean_intensity_channel1": [0.1, 0.2]})
    other = pd.DataFrame({"slide": ["2", "2"], "mean_intensity_channel1": [0.1, 0.3]})
    assert copied_slides({"1": one, "2": other, "3": one.assign(slide="3")}) == (("1", "3"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient_train,train,val\nP1,1,2\n", "no column 'patient_val'"),
        ("patient_train,train,patient_val,val\nP1,1,,\n", "no slide in val"),
        ("patient_train,train,patient_val,val\nP1,,P2,2\n", "1 rows have one of patient_train and train"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        split(tmp_path, text)
