"""Privacy: what leaves a site, and in which form."""
