"""How an answer leaves: who may have one at all, its head, and its bytes.

``visitors`` tells who is let in, ``respond`` is what every answer needs; ``held`` and ``growing``
send a file from the disk or while it comes, ``shared`` has one open for many; ``turns`` and
``json_answers`` tell who is answered first where many ask. What is asked for is known to ``faces``
and ``clients``.
"""
