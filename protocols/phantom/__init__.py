"""The phantom: a simulated tissue whose truth is known, written in the real files' formats."""
