"""Talks. Twisted; gets its reactor handed in and decides nothing; never imports ``host``."""
