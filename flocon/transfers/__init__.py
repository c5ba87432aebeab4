"""How it comes: one file on its way from some sources to any number of readers.

What is a part, what may be released, who is slow and whether it is the right file is decided
without I/O (``parts``, ``release``, ``verify``, and ``asking.patience``). Whom to ask is told by a
callable of ``sources``; how one is asked stands in ``asking``.
"""
