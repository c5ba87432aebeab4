"""What the operator set: the values, what each may be, flocon.toml, and the command line.

``settings`` and ``permitted`` do no I/O. Every room may be given settings; none but ``node``,
``operator`` and ``cli`` reads them from a file.
"""
