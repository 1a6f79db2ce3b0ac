"""From a run's questions to its answers, once for every task: the engine asks the task and never which task it is."""
