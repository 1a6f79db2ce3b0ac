"""How a leak is planted into a stored cohort of each task, as if it had been read so: one file a task.

``EMPTY`` names the kinds that a task cannot have, and why. A task without a file fails the matrix.
"""
