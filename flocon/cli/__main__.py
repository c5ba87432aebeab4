"""``python -m flocon.cli``: the command, where it is not installed."""

from flocon.cli import main

main()
