"""What a state of all databases is."""
