"""Models of cells and spots, one a file; what only they share lies in ``parts``."""

TASK = "expression"
