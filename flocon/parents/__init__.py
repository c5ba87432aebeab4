"""Caching proxies of this LAN: which there are, by which way they are asked, and how each did.

When one is asked, and for what, is decided elsewhere.
"""
