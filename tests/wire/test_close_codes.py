"""Close codes in words: those with a meaning, the ranges, and everything else."""

import pytest

from ocpp_proxy.wire.close_codes import MEANINGS, meaning


@pytest.mark.parametrize(("code", "words"), [
    (1000, "normal closure"), (1001, "going away"), (1002, "protocol error"), (1007, "data does not fit its type"),
    (1008, "policy violation"), (1009, "message too big"), (1015, "must not be sent"), (3000, "libraries"), (3999, "libraries"),
    (4000, "private use"), (4999, "private use"), (999, "not a valid code"), (1016, "not a valid code"),
    (2999, "not a valid code"),
    (5000, "not a valid code"), (0, "not a valid code"),
])
def test_meaning(code: int, words: str) -> None:
    assert words in meaning(code)


def test_only_codes_of_the_protocol_have_meanings_of_their_own() -> None:
    assert set(MEANINGS) == set(range(1000, 1016))
