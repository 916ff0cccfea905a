"""The desk's verbs: `python -m scripts <verb>`."""
