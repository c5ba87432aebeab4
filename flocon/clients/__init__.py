"""Who asks a mirror for what its states list: machines without a node, and who carries one away.

``mirror`` is the face for the machines: ``layouts`` knows what a path means, ``given`` which state
who asks was given, ``mirror_packages`` answers with packages; ``mirror_contents`` answers this
machine's command, by content. Which state is given, and when there is a newer one, is decided in
``mirrors``; a node that was never asked so has none of this in memory.
"""
