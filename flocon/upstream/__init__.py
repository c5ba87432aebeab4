"""How the next state is read from a mirror: when, of which one, all of it as one state or nothing.

What is read is kept by ``states``; when it is given to anybody is not known here.
"""
