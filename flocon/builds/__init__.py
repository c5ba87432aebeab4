"""The keeper: which recipes are watched, what was approved by whom, and what is new of them.

It runs in the node, and never a line of a recipe.
"""
