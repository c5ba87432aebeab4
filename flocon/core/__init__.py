"""Decides. Standard library only: no I/O, no clock, no randomness of its own.

``now`` is an argument, in seconds of a monotonic clock; so is a source of chance.
"""
