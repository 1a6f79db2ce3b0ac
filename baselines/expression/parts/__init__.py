"""What only the models of expression share."""
