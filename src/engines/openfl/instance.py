"""The instance (a door to OpenFL): each call of a site says which of its processes has made it."""

from typing import Any, NamedTuple

import grpc

from src.rounds.instances import METADATA


class CallDetails(NamedTuple):
    """What gRPC asks of a call, as an interceptor hands it on."""

    method: str
    timeout: float | None
    metadata: list[tuple[str, str]]
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class WithInstance(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):
    """Puts the instance of this process before every call."""

    def __init__(self, instance: str) -> None:
        self._instance = instance

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any):
        """A call of one message."""
        return continuation(self._named(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ):
        """A call of a stream."""
        return continuation(self._named(client_call_details), request_iterator)

    def _named(self, call: Any) -> CallDetails:
        metadata = [*(call.metadata or ()), (METADATA, self._instance)]
        return CallDetails(
            call.method,
            call.timeout,
            metadata,
            call.credentials,
            call.wait_for_ready,
            call.compression,
        )
