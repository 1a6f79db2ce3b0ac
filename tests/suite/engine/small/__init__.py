"""One small run a task: ``write(folder)`` makes its data and its run's file. A task without one fails the guards."""
