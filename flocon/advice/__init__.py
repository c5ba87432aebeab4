"""What to tell a person: what goes wrong here and how it is mended, who has what, and why.

It looks at the rooms below and changes nothing. ``operator``, ``node`` and ``cli`` use it.
"""
