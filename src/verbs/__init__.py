"""The verbs of `python -m src`: a file each, imported when it is called."""
