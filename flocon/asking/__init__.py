"""How one thing is asked for by HTTP, and what an answer may be.

One GET or HEAD within limits, by an agent for peers or one for mirrors. Whom to ask, and what
becomes of the bytes, is decided above; ``source`` is the value that those rooms hand down.
"""
