"""Connections to whom this node asks by HTTP: what may come over one, and which are kept.

Whoever asks anybody does it over these, for the bounds are theirs. Whom to ask is not known here.
"""
