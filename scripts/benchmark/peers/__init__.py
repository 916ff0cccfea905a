"""Other frameworks, each run as its documentation says, in an environment of its own."""
