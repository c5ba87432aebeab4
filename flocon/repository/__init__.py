"""An own repository as it lies on disk: packages read, databases written, generations published.

Nothing is signed here, and nobody is asked: who signs is in ``signing``.
"""
