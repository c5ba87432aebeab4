"""What others hold, and how they did.

Replicas of the peers' inventories, kept up to date from what ``presence`` hears, and what is held
against a peer. Packages are not fetched here, and no file is opened.
"""
