"""The site (a door to OpenFL): OpenFL's collaborator, with a heartbeat.

A site that trains is silent for minutes or hours; the heartbeat lets the aggregator tell it from
one that is gone.
"""

import logging
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc
from openfl.component import Collaborator
from openfl.protocols import aggregator_pb2
from openfl.transport.grpc.common import create_header

from src import plan as plans
from src import require

logger = logging.getLogger(__name__)


class Site(Collaborator):
    """heartbeat_s: seconds between two signs of life. Everything else is OpenFL's.

    plan_path: the plan, from the workspace's root. PlanError: a site does not run what the kit
    refuses, whoever built the workspace.
    """

    def __init__(
        self, *, heartbeat_s: float = 15.0, plan_path: str = "plan/plan.yaml", **openfl_settings
    ) -> None:
        require.positive("heartbeat_s", heartbeat_s)
        plans.check(plans.read(Path(plan_path)), name=plan_path)
        self.heartbeat_s = heartbeat_s
        # OpenFL's default list of callbacks is shared between instances
        super().__init__(callbacks=[], **openfl_settings)

    def run(self) -> None:
        """OpenFL's loop, with the heart beating beside it until it ends."""
        ended = Event()
        heart = Thread(target=self._beat, args=(ended,), name="heartbeat", daemon=True)
        heart.start()
        try:
            super().run()
        finally:
            ended.set()
            heart.join(timeout=5)

    def _beat(self, ended: Event) -> None:
        """A ping now and then. A failed one is no news: the main loop retries and reports."""
        header = create_header(
            sender=self.collaborator_name,
            receiver=self.aggregator_uuid,
            federation_uuid=self.federation_uuid,
            single_col_cert_common_name="",
        )
        while not ended.wait(self.heartbeat_s):
            client: Any = self.client  # its stub is a new one after each reconnection
            try:
                # not client.ping(): that one retries for ever and reconnects under the main loop
                client.stub.Ping(aggregator_pb2.PingRequest(header=header), timeout=10)
            except (grpc.RpcError, ValueError) as error:  # ValueError: channel being reopened
                logger.debug("Heartbeat not delivered: %s", error)
