"""Commands of an own repository: made, filled, trusted by another machine. Talks to the signer.

``verbs`` has their words and who does what they say. What is signed, and whether, is the
signer's to decide (``signing``); here it is asked, by its socket, or on another machine by ssh.
"""
