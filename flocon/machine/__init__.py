"""The computer: its files, processes, interfaces, ports, signals, systemd.

Knows nothing of packages, pacman or peers: another daemon could use any module of it.
"""
