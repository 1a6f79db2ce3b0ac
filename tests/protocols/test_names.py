"""Names from outside: what may become a folder, and what may not."""

from __future__ import annotations

import pytest

from protocols.errors import UserError
from protocols.names import safe_name, safe_names

HOSTILE = {
    "parent": "../x",
    "deep": "../../../victim",
    "absolute": "/etc/passwd",
    "empty": "",
    "blank": "  ",
    "dot": ".",
    "dots": "..",
    "hidden": ".git",
    "nul": "a\0b",
    "newline": "a\nb",
    "backslash": "a\\b",
    "drive": "C:x",
    "long": "x" * 300,
    "windows": "CON",
    "windows with ending": "nul.txt",
    "windows port": "Com1",
    "trailing dot": "name.",
    "trailing space": "name ",
    "tilde": "~",
    "glob": "a*",
    "none": None,
}


@pytest.mark.parametrize(
    "name", [value for key, value in HOSTILE.items() if key != "none"], ids=[k for k in HOSTILE if k != "none"]
)
def test_hostile_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        safe_name(name, kind="model", where="the table")
    assert "the table" in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["mine", "my model", "ResNet-50+aug", "a.b_c", "7", "_x"])
def test_plain_name_passes_unchanged(name: str) -> None:
    assert safe_name(name, kind="model", where="x") == name


def test_names_that_differ_by_case_alone_are_refused() -> None:
    assert safe_names(["a", "b", "a"], kind="model", where="x") == ["a", "b"]
    with pytest.raises(UserError, match="differ by case alone"):
        safe_names(["Mine", "mine"], kind="model", where="x")
