"""A file while it comes: where its bytes lie, in memory or on a disk that may be slow or full.

Pieces come in any order and are written in a thread (``growing_file``); what waits to be written is
read as if it were there (``pieces``). What is written is hashed (``verify``, ``descriptors``).
Whose bytes they are, and what follows if they are wrong, is not known here.
"""
