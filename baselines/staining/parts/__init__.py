"""What only the models of virtual staining share."""
