"""A user's mistake is one line, whatever is quoted in it."""

from __future__ import annotations

import pickle

from protocols.errors import UserError


def test_what_is_quoted_is_shown_and_not_obeyed() -> None:
    error = UserError("no file 'a\nb'", where="a\0\x1b[31m", expected="Å µm", remedy="rename\tit")
    assert str(error) == r"a\x00\x1b[31m: no file 'a\nb'; expected Å µm; rename\tit"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.what == "no file 'a\nb'"
