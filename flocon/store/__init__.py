"""flocon's own folder of packages, within its bound, and folders of packages as they lie on disk.

Files and their accounts only: what is offered to anybody is decided in ``holdings``.
"""
