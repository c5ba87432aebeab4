"""What the machines of the LAN want of a state: which packages, what those need, how they come.

Who asked for what is remembered here, within bounds. How one package comes is ``sources``'s and
``transfers``'s; whether a state waits for it, ``mirrors``'s.
"""
