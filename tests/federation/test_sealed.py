"""Encrypted rounds between real processes: what is computed, what is readable, what is refused."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from openfl.federated import Plan
from openfl.protocols import base_pb2
from openfl.transport.grpc import AggregatorGRPCClient

from scripts.local.processes import running
from src.engines.openfl.client import AggregatorClient, details
from src.engines.openfl.codec import PlainTransformer
from src.engines.openfl.model_file import read_model
from src.errors import ModelError, Refused
from src.model_vector import TENSOR
from src.plan import plan as plans
from src.plan.view import Plan as PlanView
from src.refusal import reason_in
from src.rounds.duties import Duties
from src.rounds.preparation import encrypting_site
from src.rounds.schedule import Schedule
from src.rounds.site import EncryptedSiteRounds
from src.secure_aggregation import bfv, framing
from src.secure_aggregation.memory_file import MemoryFile
from src.trust.certificate import utc_now
from src.trust.gate import SiteGate
from src.trust.key_transport import open_keys
from tests.federation.conftest import CASES
from tests.federation.drills import events, mean_of_noise, rounds, seen, start_all
from tests.federation.memory import Windows, mappings_of, memory_files
from tests.federation.parts import SIZE, noise
from tests.oracles import uniformity
from tests.patience import HANG_S, until
from tests.secure_aggregation.sealing import bombs

pytestmark = [pytest.mark.federation]
BOUND = 3 * 3 * 2**-21 * 300 / 11  # rounds * sites * step * W / count
HOSTILE = 2000


def test_the_final_model_is_the_weighted_mean_and_opens_at_every_site_alone(sealed):
    sealed.run()
    final = sealed.aggregator / "save" / "final.pbuf"
    models = [read_model(final, workspace) for workspace in sealed.sites.values()]
    assert models[0].shape == (SIZE,)
    assert np.abs(models[0] - mean_of_noise(3)).max() < BOUND
    assert all((model == models[0]).all() for model in models)
    told = rounds(sealed)
    assert [line["round"] for line in told] == [0, 1, 2, 3]
    assert set(told[0]["sites"]["two"]) == {"metrics"}  # no case numbers
    ciphertexts = 3 * 33_000  # one a site, which for so small a model is most of the upload
    assert all(line["bytes_up"] > 0.9 * ciphertexts for line in told[:3])

    with pytest.raises(ModelError, match="this model is encrypted, and a site opens it"):
        read_model(final)
    with pytest.raises(Refused, match="no site's workspace"):
        read_model(final, sealed.aggregator)
    site = sealed.sites["two"]
    secrets = [path for path in sealed.aggregator.rglob("*") if path.suffix in (".cms", ".tag")]
    assert secrets == []
    keys = open_keys(site, *_about(site), utc_now())
    for workspace in (sealed.aggregator, *sealed.sites.values()):
        for path in workspace.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert keys.mac not in content
                assert keys.he[100:200] not in content


def _about(site: Path):
    gate = SiteGate(str(site))
    name = next(site.glob("cert/client/col_*.crt")).stem.removeprefix("col_")
    return gate.members.site(name), gate.members, gate.bundle.digest


# -- what the aggregator could read ---------------------------------------------------------------


def found_at_aggregator(federation) -> int:
    """How many windows of the sites' updates are at the aggregator while it has two of three."""
    federation.change("task_runner.seconds=0.3")
    with running([federation.start_aggregator()]) as parties:
        parties += [federation.start_site(name) for name in ("one", "two", "three")]
        until(
            lambda: events(federation, event="received", round=0, what="train") >= 2,
            "updates of round 0",
            every_s=0.005,
        )
        group = parties[0].process.pid
        os.killpg(group, signal.SIGSTOP)
        trained = [noise(site, 0) for site in CASES]
        windows = Windows([*trained, *(array.astype(np.float64) for array in trained)])
        hits = sum(windows.count(content) for content in mappings_of(group))
        state = [p for p in federation.aggregator.rglob("*") if p.is_file() and p.suffix != ".py"]
        hits += sum(windows.count(path.read_bytes()) for path in state)
        os.killpg(group, signal.SIGCONT)
    return hits


def test_no_window_of_an_update_is_in_the_aggregators_memory_or_on_its_disk(sealed):
    assert found_at_aggregator(sealed) == 0


def test_the_search_finds_updates_where_they_are_not_encrypted(federation):
    assert found_at_aggregator(federation) > SIZE


def test_the_search_finds_what_lies_in_a_file_in_memory():
    """As the workers of this kit share what they work at."""
    update = noise("one", 0)
    windows = Windows([update])
    shared = MemoryFile()
    shared.write(update.tobytes())
    found = sum(windows.count(content) for content in memory_files(Path("/proc/self")))
    shared.close()
    assert found >= SIZE - 3
    assert not sum(windows.count(content) for content in memory_files(Path("/proc/self")))


def test_with_the_encryption_key_a_single_upload_still_shows_uniform_slots(sealed):
    sealed.change("task_runner.seconds=0.3")
    with running(start_all(sealed)):
        folder = sealed.aggregator / "local_state" / "sealed" / "uploads-0"
        deadline = time.monotonic() + 60
        while not (uploads := list(folder.glob("[!.]*"))):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        message = uploads[0].read_bytes()
    cipher = bfv.Cipher(open_keys(sealed.sites["one"], *_about(sealed.sites["one"]), utc_now()).he)
    (record,) = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    assert uniformity(cipher.decrypt(cipher.load(record, bfv.FRESH))) > 1e-4


# -- hostile uploads ------------------------------------------------------------------------------


class HostileSite:
    """Site one, with its own certificate and keys, but sending what it likes."""

    def __init__(self, workspace: Path) -> None:
        plan = Plan.parse((workspace / "plan" / "plan.yaml").absolute())
        network = plans.read(workspace / "plan" / "plan.yaml")["network"]["settings"]
        self.gate = SiteGate(str(workspace))
        federation = self.gate.open("one")
        self.gate.workspace = workspace
        stem = workspace / "cert" / "client" / "col_one"
        self.client = AggregatorGRPCClient(
            "localhost",
            network["agg_port"],
            plan.aggregator_uuid,
            federation,
            "one",
            root_certificate=str(self.gate.pinned),
            certificate=f"{stem}.crt",
            private_key=f"{stem}.key",
            resend_data_on_reconnection=False,
        )
        approved = PlanView.read(workspace / "plan" / "plan.yaml")
        encryption = plans.build(approved.raw["compression_pipeline"]).encryption
        self.sealed = encrypting_site(
            encryption,
            self.gate,
            "one",
            approved,
            workspace,
            lambda: read_model(workspace / "save" / "init.pbuf"),
        )
        site = EncryptedSiteRounds(self.gate, self.sealed)
        duties = Duties(Schedule.of_plan(approved), workspace / "local_state")
        self.line = AggregatorClient(self.client, site, duties, 60)

    def upload(self) -> bytes:
        """A good answer to round 0, never sent."""
        tasks = []
        while not tasks:
            tasks, *_ = self.line.get_tasks()
        tensor = self.line.get_aggregated_tensor(TENSOR, 0, False, ("model",), True)
        self.sealed.open(tensor.data_bytes)
        return self.sealed.seal(noise("one", 0), CASES["one"])

    def send(self, message: bytes, round_number: int = 0, task: str = "train", **tensor) -> str:
        """The reason with which it was refused; empty: it was not."""
        about = {
            "name": TENSOR,
            "round_number": round_number,
            "tags": ["trained", "compressed"],
            "data_bytes": message,
            "lossless": True,
        } | tensor
        named = base_pb2.NamedTensor(**about)
        named.transformer_metadata.add(int_list=[1])
        try:
            self.client.send_local_task_results(round_number, task, 1, [named])
        except (grpc.RpcError, AssertionError) as error:
            return reason_in(details(error)) or details(error)
        return ""


def hostile(good: bytes, rng: random.Random) -> Iterator[tuple[bytes, dict]]:
    """Damaged, foreign and misplaced uploads."""
    header = framing.header(good)
    plain, _ = PlainTransformer().forward(noise("one", 0))
    start = len(framing.pack(header))
    nonce = good.index(header["nonce"].encode())  # only sites, by the MACs, can tell a wrong one
    nonce_end = nonce + len(header["nonce"])
    yield plain, {}
    yield b"", {}
    yield good + bytes(1 << 22), {}
    for bomb in bombs(good[start + 4 :]).values():
        yield framing.pack(header, [bomb]), {}
    yield framing.pack(header, [bytes(32_900)]), {}
    yield framing.pack(header | {"site": "two"}, [good[start + 4 :]]), {}
    yield framing.pack(header | {"round": 1}, [good[start + 4 :]]), {}
    yield good, {"round_number": 1}
    yield good, {"task": "final_validation"}
    yield good, {"name": "other"}
    yield good, {"tags": ["trained", "compressed", "model"]}
    yield plain, {"tags": ["metric", "compressed"], "name": "loss"}
    while True:
        kind = rng.randrange(5)
        if kind == 0:
            yield good[: rng.randrange(len(good))], {}
        elif kind == 1:  # one byte of the header, which is signed or compared, but for the nonce
            place = rng.choice([n for n in range(start) if not nonce <= n < nonce_end])
            yield (
                good[:place] + bytes([good[place] ^ 1 << rng.randrange(8)]) + good[place + 1 :],
                {},
            )
        elif kind == 2:  # of the ciphertext's own header, and the digest with it
            record, place = bytearray(good[start + 4 :]), 16 + rng.randrange(200)
            record[place : place + 32] = rng.randbytes(32)
            yield framing.pack(header, [bytes(record)]), {}
        elif kind == 3:
            yield rng.randbytes(rng.randrange(5000)), {}
        else:
            yield good + rng.randbytes(1 + rng.randrange(50)), {}


@pytest.mark.faults
def test_thousands_of_hostile_uploads_are_refused_and_the_run_ends_right(sealed):
    rng = random.Random(1)
    sealed.change("aggregator.calls_per_minute=60000")  # else they would wait for their turns
    with running([sealed.start_aggregator()]) as parties:
        parties += [sealed.start_site(name) for name in ("two", "three")]
        site = HostileSite(sealed.sites["one"])
        good = site.upload()
        answers = [
            site.send(message, **how)
            for _, (message, how) in zip(range(HOSTILE), hostile(good, rng), strict=False)
        ]
        site.client.disconnect()
        site.sealed.close()
        site.gate.lock.release()
        assert parties[0].process.poll() is None
        assert answers.count("") == 0, answers.index("")
        assert not list((sealed.aggregator / "local_state" / "sealed").glob("uploads-0/one"))
        parties.append(sealed.start_site("one"))  # the honest one
        for party in parties:
            assert party.process.wait(HANG_S) == 0, sealed.log(party.name)[-2000:]
    final = read_model(sealed.aggregator / "save" / "final.pbuf", sealed.sites["two"])
    # the hostile process has used up the masks of round 0, which is void
    assert np.abs(final - mean_of_noise({1, 2})).max() < BOUND
    refused = [line for line in seen(sealed.aggregator) if line["event"] == "refused"]
    assert len(refused) > 10
