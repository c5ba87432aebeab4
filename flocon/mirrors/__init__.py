"""A mirror for the whole LAN, put together: what a person says to it, what it gives and keeps.

Here is decided when clients are given a newer state, what the store keeps for them, and what is
told of all that. What a state is, how the next one is read, what of it is wanted and which ones are
kept by name are rooms below; how a request is answered is ``clients``'s.
"""
