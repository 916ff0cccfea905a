"""Who may speak: the desk's authority and its ceremony. Nothing that is issued lies here."""
