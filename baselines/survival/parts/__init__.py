"""What only the models of survival share."""
