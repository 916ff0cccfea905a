"""The processes that encrypt and add: what they share, and what becomes of it when one dies."""

import numpy as np
import pytest

from src.errors import WorkerRefused
from src.secure_aggregation import bfv
from src.secure_aggregation.workers import Adders, Ciphers
from tests.oracles import kill, peak_bytes

CHUNKS = 5


@pytest.fixture(scope="module")
def ciphers():
    made = Ciphers(bfv.new_key(), CHUNKS, processes=2)
    yield made
    made.close()


@pytest.fixture
def adders():
    made = Adders(CHUNKS, processes=2)
    yield made
    made.close()


@pytest.fixture
def slots():
    rng = np.random.default_rng(0)
    return rng.integers(0, bfv.plain_modulus(), (CHUNKS, bfv.N), np.uint64)


def test_chunks_come_back_in_their_order_from_several_processes(ciphers, adders, slots):
    for _ in range(2):
        adders.add(ciphers.encrypt(slots))
    expected = (2 * slots.astype(object)) % bfv.plain_modulus()
    assert (ciphers.decrypt(adders.sum()) == expected).all()


def test_a_bad_chunk_of_one_process_leaves_nothing_in_the_others(ciphers, adders, slots):
    adders.add(ciphers.encrypt(slots))
    for place in (0, CHUNKS - 1):
        bad = list(ciphers.encrypt(slots))
        bad[place] = bytes(30_000)
        with pytest.raises(WorkerRefused, match="not a ciphertext"):
            adders.add(bad)
    assert (ciphers.decrypt(adders.sum()) == slots).all()


@pytest.mark.parametrize("later", [False, True], ids=["same-upload", "next-upload"])
def test_a_ciphertext_in_two_places_is_noticed_across_processes(ciphers, adders, slots, later):
    first, second = list(ciphers.encrypt(slots)), list(ciphers.encrypt(slots))
    if later:
        adders.add(first)
        second[CHUNKS - 1] = first[0]
    else:
        second[CHUNKS - 1] = second[0]
    with pytest.raises(WorkerRefused, match="used before"):
        adders.add(second)
    if later:
        assert (ciphers.decrypt(adders.sum()) == slots).all()


def test_an_adder_needs_no_more_memory_for_more_sites():
    chunks = 60  # 2 MB an upload, 4 MB their sum
    rng = np.random.default_rng(0)
    slots = rng.integers(0, bfv.plain_modulus(), (chunks, bfv.N), np.uint64)
    ciphers = Ciphers(bfv.new_key(), chunks, processes=2)
    adders = Adders(chunks, processes=1)
    peaks = []
    for _ in range(12):
        adders.add(ciphers.encrypt(slots))
        peaks.append(peak_bytes(adders._workers[0]._running.process.pid))
    adders.close()
    ciphers.close()
    assert peaks[-1] - peaks[2] < 4e6  # nine more uploads are 18 MB
    assert peaks[0] > 4e7


def test_adders_of_which_one_has_died_say_so_and_begin_anew(ciphers, adders, slots):
    adders.add(ciphers.encrypt(slots))
    kill(adders._workers[1])
    assert not adders.alive
    adders.forget()
    adders.add(ciphers.encrypt(slots))
    assert (ciphers.decrypt(adders.sum()) == slots).all()


def test_a_killed_cipher_is_started_again_with_its_key(ciphers, slots):
    sealed = ciphers.encrypt(slots)
    kill(ciphers._workers[0])
    adders = Adders(CHUNKS, processes=1)
    adders.add(sealed)
    assert (ciphers.decrypt(adders.sum()) == slots).all()
    adders.close()


def test_what_two_processes_share_is_emptied_after_each_order(ciphers, slots):
    ciphers.encrypt(slots)
    for worker in ciphers._workers:
        assert worker._running.shared.read() == b""
