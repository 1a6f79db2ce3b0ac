"""Image encoders: the table, their networks, and frozen embeddings of a cohort's crops."""
