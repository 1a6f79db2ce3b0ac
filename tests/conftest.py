"""What every test shares."""

from __future__ import annotations

from hypothesis import settings

# Hypothesis allows an example 200 ms by the clock. The first one imports what is imported late, and may come first in
# its process when tests are spread over several: the clock then fails what is right. pytest-timeout bounds each test.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")
