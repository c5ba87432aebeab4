"""Nodes of other networks: named by the operator, greeted by unicast, introduced by each other.

What is said is what is said to the group; an address is believed once it has proved itself. Who is
there is known to ``presence``, which is told of what arrives.
"""
