"""Data: from a hospital's folders to prepared cases and training patches."""
