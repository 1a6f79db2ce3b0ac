"""The questions: tasks, splits, audits, metrics, and one file a question. Knows no torch and no model."""
