"""Before a start: would it work here, and be safe?"""
