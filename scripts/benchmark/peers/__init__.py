"""Other frameworks, each run as its documentation says, in an environment of its own.

A peer consists of two or three files: the contender, which runs here, and its parts, which are
copied into the framework's own workspace or job and run in its environment.
"""
