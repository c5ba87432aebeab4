"""Other tools' machines: pacredir's and pacserve's, asked for one file at a time.

Which of them there are, what they are asked for and for how long they are left alone is decided
without I/O. What they send is verified as any peer's, elsewhere.
"""
