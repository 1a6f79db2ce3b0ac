"""Networks as published: architecture alone, no training."""
