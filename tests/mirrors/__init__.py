"""A mirror for the whole LAN."""
