"""What the AUR says: its packages by RPC, its recipes by git, and whether sources moved on.

Nothing is decided here about what may be built, and no line of a recipe is run.
"""
