"""The only room that imports OpenFL and gRPC; it translates and decides nothing."""

from src import account

account.complete()  # `fx` has a top of its own, and imports this room before MONAI
