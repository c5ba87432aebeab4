"""One file from several sources at once: who works, on which part, and when another helps.

Where the content is known each brings other parts (``parted``), where it is not they race
(``race``); who brought which bytes is kept by ``contributions``. Whom to take next is told by a
callable, where bytes go by the one who receives them.
"""
