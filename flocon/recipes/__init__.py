"""What a recipe says, how two differ, and what a person should look at. Nothing here has I/O.

A recipe is a PKGBUILD with its .SRCINFO and further files, at one commit. It is text here: no line
of it is ever run in this process.
"""
