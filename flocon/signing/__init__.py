"""The signer: a program of its own user, which alone has the key of an own repository.

What came out of a build is examined here, signed and published. No network, no recipe.
"""
