"""Puts a node together, starts and stops it: the only place that knows every room.

What is handed over here is a callable or a value; nothing is decided. twistd knows ``node``.
"""
