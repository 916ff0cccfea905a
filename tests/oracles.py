"""Judges that several rooms' tests ask: statistics of numbers, what a key's holder sees, memory."""

from pathlib import Path

import numpy as np
from scipy.stats import chi2

from src.secure_aggregation import announcements, bfv, framing
from src.secure_aggregation.masks import mask, pair_keys
from src.secure_aggregation.workers import WorkerProcess

T = bfv.plain_modulus()
LEVEL = 1e-6  # of each test; a right sampler fails one run in a million


def uniformity(numbers: np.ndarray, modulus: int = T, bins: int = 64) -> float:
    """p-value of Pearson's chi-square test against uniform mod t."""
    counts = np.bincount((numbers.astype(float) / modulus * bins).astype(int), minlength=bins)
    expected = numbers.size / bins
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), bins - 1))


def variance_fits(values: np.ndarray, sigma: float) -> bool:
    """Whether the squares of the values are those of noise with this sigma, about 0."""
    below = float(chi2.cdf(np.square(values / sigma).sum(), values.size))
    return LEVEL / 2 < below < 1 - LEVEL / 2


def slots_seen(federation, message: bytes, count: int = 1, stored: int = bfv.FRESH) -> np.ndarray:
    """What the holder of the encryption key sees in a message."""
    cipher = bfv.Cipher(federation.keys.he)
    records = framing.records(message, count=count, most_bytes=bfv.MOST_BYTES[stored])
    return np.stack([cipher.decrypt(cipher.load(record, stored)) for record in records])


def unmasked(federation, name: str, message: bytes) -> np.ndarray:
    """A site's own payload slots: what only the site itself can work out."""
    site = federation.sites[name]
    opened = site.opened
    salt = announcements.salt(opened.transcript, opened.roster)
    own = site.gate.members.site(name).sha256
    private = federation.mask_keys[name]
    keys = pair_keys(own, private, opened.roster.mask_keys, salt)
    seen = slots_seen(federation, message)
    return (seen + T - mask(own, keys, np.zeros_like(seen), T)) % np.uint64(T)


def peak_bytes(process: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def kill(worker: WorkerProcess) -> None:
    """As the kernel does when memory runs out."""
    assert worker._running is not None
    worker._running.process.kill()
    worker._running.process.wait()
