"""What is here before pacman asks for it: the next upgrade, and what a package needs beside itself.

``wishes`` decides, without I/O, what is wanted and what is due; ``prefetch`` when it is looked up,
``bringing`` how many come at a time. A package comes as any other does, by ``sources``, and yields
to whatever somebody waits for: whom to ask is not known here.
"""
