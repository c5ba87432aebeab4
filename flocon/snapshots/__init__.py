"""States that have a name or a day: taken, compared, used again, carried to another LAN.

Also what is said of them, and where their packages are. What a state is, and what a person's word
for one means, is ``states``'s; which packages of one come here, ``wanted``'s.
"""
