"""Pages by which a person reads what waits and approves it: by a link that was asked for, once.

Also how a person is told that something waits. Nothing is judged here.
"""
