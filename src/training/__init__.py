"""Training at a site: algorithms, one local epoch, and the door to OpenFL's task runner."""
