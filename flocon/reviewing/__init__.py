"""Commands of builds: what waits is shown, read and decided at the terminal.

Nothing is judged here: what is shown is put into words by ``builds.reviews``, as for the page.
"""
