"""What happened: bytes, answers, receipts, savings, and how long things took.

Everything here is told by others and decides nothing for them.
"""
