"""One tiny cohort for all tests of the phantom."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.phantom.generate import generate
from tests.protocols.phantom.tiny import SEED, TINY


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    generate(out, TINY, SEED)
    return out
