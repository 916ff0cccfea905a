"""What each patient or site is promised: mechanisms that add noise, and the books of what is spent."""
