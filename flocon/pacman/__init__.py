"""What pacman says on this machine: its configuration, its databases, its keyring.

Read, never written: pacman is asked by its own programs and files. Its databases are opened as
files that this machine holds are (``holdings``).
"""
