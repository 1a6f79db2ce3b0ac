"""Models of survival, one a file; what only they share lies in ``parts``."""

TASK = "survival"
