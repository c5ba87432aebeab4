"""What nodes say to each other by multicast, and the groups in which they say it.

The format, and one socket for each link. Who is there, and what is believed, is for ``presence``.
"""
