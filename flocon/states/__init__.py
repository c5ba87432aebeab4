"""What a state of all databases is, where it lies, what it lists, and which one is given to whom.

Nothing here asks a mirror or fetches a package, and what a person says comes as values.
"""
