"""Models of virtual staining, one a file; what only they share lies in ``parts``."""

TASK = "image"
