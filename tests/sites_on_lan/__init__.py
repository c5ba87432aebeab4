"""Real nodes of several networks, and a router that forwards no multicast between them."""
