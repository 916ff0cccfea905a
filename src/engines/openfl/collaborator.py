"""The site (a door to OpenFL): OpenFL's collaborator behind its gate, with a heartbeat.

A site that trains is silent for minutes or hours; the heartbeat lets the aggregator tell it from
one that is gone.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

import grpc
import numpy as np
from cryptography.hazmat.primitives.serialization import Encoding
from openfl.component import Collaborator
from openfl.protocols import aggregator_pb2
from openfl.transport.grpc.common import create_header
from openfl.utilities import TensorKey

from src import require
from src.engines.openfl.client import AggregatorClient
from src.engines.openfl.parsed import check_parsed
from src.model_vector import TENSOR
from src.network import proxy
from src.network.line import Line
from src.network.tls import Credentials
from src.refusal import errors_end_the_process
from src.rounds import clocks
from src.rounds.schedule import brings_update
from src.rounds.site import enter
from src.trust.bundle import PLAN
from src.trust.certificate import utc_now
from src.trust.members import CHAIN_FILE

logger = logging.getLogger(__name__)

SILENCE_S = 120.0  # without an answer to any heartbeat for so long, the connection is made anew


class Site(Collaborator):
    """heartbeat_s: seconds between two signs of life. patience_s: how long an aggregator that
    cannot be reached is called again before the site gives up. gate: a part (`SiteGate`).

    PlanError: a site does not run what the kit refuses, whoever built the workspace. SystemExit 77:
    its gate does not open, or `fx` was given another plan. SystemExit 65: its log or a ledger is
    damaged. The last line of the log says why.
    """

    def __init__(
        self,
        *,
        gate: Mapping[str, Any],
        collaborator_name: str,
        client: Any,
        federation_uuid: str,
        heartbeat_s: float = 15.0,
        patience_s: float = 3600.0,
        **openfl_settings,
    ) -> None:
        require.positive("heartbeat_s", heartbeat_s)
        require.positive("patience_s", patience_s)
        self.heartbeat_s = heartbeat_s
        with errors_end_the_process():
            check_parsed(federation_uuid)
            entered = enter(
                gate,
                collaborator_name,
                PLAN,
                openfl_settings["task_runner"],
                openfl_settings["compression_pipeline"],
            )
        self.rounds, self.duties = entered.rounds, entered.duties
        client.federation_uuid = entered.federation
        client.root_certificate = str(entered.gate.pinned)  # this aggregator's certificate alone
        client.reconnect()
        # OpenFL's interface, but for its messages of other frameworks
        line: Any = AggregatorClient(
            client,
            self.rounds,
            self.duties,
            patience_s,
            on_work=self._forget,
            look=partial(_look, client.uri, entered.gate),
        )
        _tell_the_way(client.uri)
        super().__init__(
            collaborator_name=collaborator_name,
            client=line,
            federation_uuid=client.federation_uuid,
            callbacks=[],  # OpenFL's default list of callbacks is shared between instances
            **openfl_settings,
        )

    def _forget(self) -> None:
        """Drop every cached tensor: the aggregator may have come back at an earlier moment.

        (OpenFL 1.9 would train on the model that it holds under the same round number.)
        """
        self.tensor_db.clean_up(0)

    def do_task(self, task: Any, round_number: int) -> dict:
        """OpenFL's, unless the task has been answered already or is not this site's to train."""
        name = task if isinstance(task, str) else task.name
        line: Any = self.client
        again = self.duties.answered(round_number, name)
        if again is not None:
            logger.info("Round %d: %s: sending again what was sent before.", round_number, name)
            line.send_again(again)
            return {}
        if not brings_update(name):
            return super().do_task(task, round_number)
        model = TensorKey(TENSOR, self.aggregator_uuid, round_number, False, ("model",))
        answer = self.rounds.answer(lambda: self.get_data_for_tensorkey(model))
        if answer.what == "train":
            return super().do_task(task, round_number)
        if answer.what == "send again":
            line.send_again(answer.message)
        else:
            trained = TensorKey(TENSOR, self.collaborator_name, round_number, False, ("trained",))
            content = np.frombuffer(answer.message, np.uint8)
            line.announce(round_number, name, [self.nparray_to_named_tensor(trained, content)])
        return {}

    def run(self) -> None:
        """OpenFL's loop, with the heart beating beside it until it ends."""
        with closing(self.duties), self.rounds.to_the_end(), self._heartbeat():
            super().run()

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        ended = Event()
        heart = Thread(target=self._beat, args=(ended,), name="heartbeat", daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join(timeout=5)

    def _beat(self, ended: Event) -> None:
        """A ping now and then. A failed one is no news: the main loop retries and reports."""
        line: Any = self.client
        header = create_header(
            sender=self.collaborator_name,
            receiver=self.aggregator_uuid,
            federation_uuid=self.federation_uuid,
            single_col_cert_common_name="",
        )
        heard, told = time.monotonic(), None
        while not ended.wait(self.heartbeat_s):
            try:
                # not client.ping(): that one reconnects under the main loop
                ping = aggregator_pb2.PingRequest(header=header)
                _, call = line.stub.Ping.with_call(ping, timeout=10)
                heard = time.monotonic()
                found = clocks.difference(call.trailing_metadata() or (), utc_now())
                if found and told is None:
                    logger.warning("Clocks: %s", found)
                    told = found
            except (grpc.RpcError, ValueError) as error:  # ValueError: channel being reopened
                logger.debug("Heartbeat not delivered: %s", error)
            if time.monotonic() - heard > SILENCE_S:  # e.g. a power cut there: nothing ends a call
                heard = time.monotonic()
                line.reconnect()


def _place(uri: str) -> tuple[str, int]:
    host, _, port = uri.rpartition(":")
    return host, int(port)


def _tell_the_way(uri: str) -> None:
    """One line, where a proxy is used, or a variable is set that names one."""
    found = proxy.way(_place(uri)[0], os.environ)
    if found.proxy or found.words != "directly":
        level = logging.WARNING if found.misread else logging.INFO
        logger.log(level, "The aggregator at %s is called %s.", uri, found.words)


def _look(uri: str, gate: Any) -> None:
    """AggregatorUnreachable: what is in the way of this site's calls, as the doctor says it."""
    credentials = Credentials(
        certificate=gate.workspace / "cert" / "client" / f"col_{gate.name}.crt",
        authorities=gate.workspace / CHAIN_FILE,
        expected=gate.members.aggregator.certificate.public_bytes(Encoding.DER),
    )
    Line(*_place(uri), credentials, os.environ).check(gate.now())
