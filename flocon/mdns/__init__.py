"""Names on the link: this node announced by mDNS, and others found, where python-zeroconf is there.

The library runs in a thread of its own. What is heard is a hint: who gets it proves it first.
"""
