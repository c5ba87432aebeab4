"""Touches this machine: files, processes, interfaces, signals. Never imports ``net``."""
