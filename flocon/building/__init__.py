"""The builder: a program of its own, in which alone recipes run, each walled in.

It runs as root, for it lays out roots and walls; what a recipe runs is another user's, without a
right, and without a network but the way out of ``gateway`` while it fetches its sources. What it
gives back proves nothing: ``signing`` examines it.
"""
