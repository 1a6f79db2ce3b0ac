"""Published weights: found, verified, renamed and loaded strictly."""
