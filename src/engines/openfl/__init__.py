"""The only room that imports OpenFL and gRPC; it translates and decides nothing."""
