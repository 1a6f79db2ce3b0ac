"""The answers: a room a task, and the rooms that their models share."""
