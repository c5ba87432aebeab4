"""What a person sees and changes of a running node.

Who is meant by a word, and how the node is. The faces bring the questions, ``advice`` says what to
tell; nothing that serves pacman or a peer is here. Only ``node`` uses it.
"""
