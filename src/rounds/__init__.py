"""A round without any engine: who is present, what is asked, what is answered, when it ends."""
