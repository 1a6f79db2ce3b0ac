"""One engine for every task: it calls a task's parts and never asks which task it has."""
