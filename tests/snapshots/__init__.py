"""States that have a name or a day."""
