"""How a command talks to this machine's node, and to a person at a terminal or a script.

``asking`` puts a question and brings what a node says or refuses, ``downloading`` a file;
``printing`` makes everything fit for a terminal and a pipe. What is asked, and what is made of an
answer, is for the rooms above: there is no command here.
"""
