"""Recipes that are watched, what they need, and their building: from the queue to the signer.

What may be built is not decided here, and no line of a recipe is run.
"""
