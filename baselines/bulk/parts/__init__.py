"""What only the models of bulk expression share."""
