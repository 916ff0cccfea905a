"""A refusal travels to the other party, and ends a process with a code of its own."""

import pytest

from src.errors import REFUSED_CODE, Refused, marked, reason_in, refusals_end_the_process


def test_a_reason_survives_its_way_through_another_errors_text():
    travelled = f"Exception calling application: {marked('two was revoked.')}"
    assert reason_in(travelled) == "two was revoked."
    assert reason_in("some other error") is None


def test_a_refusal_ends_the_process_with_its_code_and_its_reason_in_the_log(caplog):
    with pytest.raises(SystemExit) as ended, refusals_end_the_process():
        raise Refused("nothing is approved here")
    assert ended.value.code == REFUSED_CODE
    assert "nothing is approved here" in caplog.text


def test_other_errors_pass():
    with pytest.raises(KeyError), refusals_end_the_process():
        raise KeyError("a bug")
