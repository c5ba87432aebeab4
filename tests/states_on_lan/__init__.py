"""Real nodes that give a LAN its state, and real pacmans; how long they take is not measured."""
