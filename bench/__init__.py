"""Each claim about speed, as a script that runs flocon and its rivals and prints a ratio."""
