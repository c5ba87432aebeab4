"""How the next state is read from a mirror."""
