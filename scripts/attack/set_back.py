"""A site that is set back: its files at each step of a round, and what it sends when started again.

A real encrypted federation of three sites in one process, in which site one has answered round 1.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal

from scripts.local.one_process import Federation
from src.errors import Refused
from src.secure_aggregation import bfv, framing
from src.secure_aggregation.mac import Mac
from src.secure_aggregation.protocol import UPDATE
from src.secure_aggregation.settings import PAYLOAD
from src.secure_aggregation.site import EncryptingSite

CASES = {"one": 5, "two": 2, "three": 4}
SIZE = 2000  # values of the model: one ciphertext
VICTIM, OTHER = "one", "two"
STEPS = ("announced", "opened", "sealed", "kept", "sent")
WORKSPACE, OUTSIDE, MEMORY = "workspace", "outside", "memory"


class Attacked:
    """A federation whose site one has answered round 1, and its files at each step until then."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        initial = rng.normal(0, 0.1, SIZE).astype(np.float32)
        self.federation = Federation(folder / "federation", CASES, initial, [SIZE], most_cases=10)
        self.copies = folder / "copies"
        self.models = {
            name: initial + rng.normal(0, 0.01, SIZE).astype(np.float32) for name in CASES
        }
        federation = self.federation
        federation.gather()
        federation.play(self.models)
        victim = federation.sites[VICTIM]
        self.places = {
            WORKSPACE: victim.folder,
            OUTSIDE: victim.use.sealed.outside,
            MEMORY: victim.state.keys.folder,
        }
        self._copy("announced")
        federation.open(VICTIM)
        self._copy("opened")
        self.twin = federation.site(VICTIM)  # started a second time, before the first has sealed
        self.twin.open(federation.aggregator.model(1))
        self.first = victim.seal(self.models[VICTIM], CASES[VICTIM])
        self._copy("sealed")
        victim.keep(self.first)
        self._copy("kept")
        federation.aggregator.take(VICTIM, 1, self.first)
        self._copy("sent")
        self.download = federation.aggregator.model(1)
        for name in CASES:
            if name != VICTIM:
                federation.open(name)
                federation.aggregator.take(name, 1, federation.answer(name, self.models[name]))
        federation.aggregator.close(CASES)
        federation.aggregator.advance()
        self.honest = federation.aggregator.model(2)

    def _copy(self, step: str) -> None:
        for what, place in self.places.items():
            if place.is_dir():
                shutil.copytree(place, self.copies / step / what)

    def set_to(self, step: str, what: str) -> None:
        """Set one of the site's places to what it was at a step."""
        shutil.rmtree(self.places[what], ignore_errors=True)
        if (self.copies / step / what).is_dir():
            shutil.copytree(self.copies / step / what, self.places[what])

    @contextmanager
    def started(
        self, step: str, back: tuple[str, ...], *, memory: bool = True
    ) -> Iterator[EncryptingSite]:
        """The site, started with some places at `step` and the others as now. memory: there is."""
        for what in self.places:
            self.set_to(step if what in back else "sent", what)
        if not memory:
            shutil.rmtree(self.places[MEMORY], ignore_errors=True)
        site = self.federation.site(VICTIM)
        try:
            yield site
        finally:
            site.close()

    def second(self, site: EncryptingSite, nonce: bytes | None = None) -> bytes | None:
        """Another update for round 1 than the first; None: the site makes none.

        Its model is another, as training has come out differently. nonce: is held fixed.
        """
        if nonce is not None:
            site.share.mac = _FixedNonce(self.federation.keys.mac, nonce)
        try:
            site.open(self.download)
            kept = site.kept()
            if kept is None and not site.takes_part:
                kept = site.announce_only()
            message = kept or site.seal(self.models[VICTIM] * 1.5, CASES[VICTIM])
        except Refused:
            return None
        told = framing.header(message)["kind"]
        return message if told == UPDATE and message != self.first else None

    def accepts(self, second: bytes, times: int, *, nonce_of_second: bool) -> bool:
        """Whether a site takes the sum plus `times` (second - first), made without any key."""
        header = framing.header(self.honest)
        if nonce_of_second:
            header["nonces"][VICTIM] = framing.header(second)["nonce"]
        (total,) = framing.records(self.honest, count=1, most_bytes=bfv.MOST_BYTES[bfv.SUM])
        adder, evaluator = bfv.Adder(), seal.Evaluator(bfv.context())
        forged = adder.load(total, bfv.SUM)
        for _ in range(times):
            evaluator.add_inplace(forged, loaded(adder, second))
            evaluator.sub_inplace(forged, loaded(adder, self.first))
        verification = self.federation.sites[OTHER].verification
        try:
            verification.follow(verification.read(framing.pack(header, [adder.save(forged)])))
        except Refused:
            return False
        return True

    def close(self) -> None:
        """End every worker."""
        self.twin.close()
        self.federation.close()

    def difference(self, second: bytes) -> int:
        """How many slots of the two updates' difference whoever has the key of sums sees filled."""
        cipher = bfv.Cipher(self.federation.keys.he)
        one, two = (cipher.decrypt(loaded(cipher, m)) for m in (self.first, second))
        return int(np.count_nonzero(one != two))


class _FixedNonce(Mac):
    """As the kit was before: two updates of a round have one pad."""

    def __init__(self, key: bytes, nonce: bytes) -> None:
        super().__init__(key, PAYLOAD, bfv.plain_modulus())
        self._nonce = nonce

    def nonce(self, payload: np.ndarray) -> bytes:
        return self._nonce


def loaded(adder: bfv.Adder, message: bytes) -> Any:
    """The one ciphertext of an update."""
    (record,) = framing.records(message, count=1, most_bytes=bfv.MOST_BYTES[bfv.FRESH])
    return adder.load(record, bfv.FRESH)
