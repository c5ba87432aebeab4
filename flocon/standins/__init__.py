"""Faces in place of other tools: what their machines and clients ask for, on ports of their own.

Off until the operator turns one on. Where a file comes from is decided in ``sources``.
"""
