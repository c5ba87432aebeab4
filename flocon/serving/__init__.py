"""How any face stands on a port: connections in bounds, who is let in, pacman kept awake.

What a face answers is not known here.
"""
