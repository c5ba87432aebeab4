"""Leads this machine's pacman to its node, for good or once, and back.

``pacman_conf`` knows the text of pacman.conf and touches no file. Nothing here needs a running node
or a reactor: the command uses it, the doctor reads by it.
"""
