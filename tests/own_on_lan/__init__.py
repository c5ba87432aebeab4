"""Real nodes, signers and pacmans, and packages that are made once for all of a LAN."""
