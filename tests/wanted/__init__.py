"""What the machines of the LAN want of a state."""
