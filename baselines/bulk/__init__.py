"""Models of bulk expression, one a file; what only they share lies in ``parts``."""

TASK = "bulk"
