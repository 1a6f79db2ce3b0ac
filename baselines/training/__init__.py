"""How networks learn: batches, losses, loops, stopping."""
