"""What two raw peers see through the proxy equals what they see directly: 100 subjects, and the proof that they can fail.

OCPP_PROXY_UNDER_TEST names another proxy (a command with {listen} and {upstream}); OCPP_PROXY_LONG=1 makes the idle
subject wait 75 seconds.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.peers import targets
from tests.peers.catalogue import ALL, CATEGORIES, category
from tests.peers.harness import SUBJECTS, Facts, Subject, Verdict, judge, run
from tests.peers.raw_peers import WAIT, Upstream
from tests.peers.targets import Target
from tests.peers.violations import unfinished

LARGE = Subject("", "a large message that does not end", unfinished, "", False)
GROWTH = ("L01", "L02", "L03", "V17")                   # subjects that look at the memory of the proxy
SHORT = 1.0                                             # seconds to wait in vain where failures are expected
_DIRECT: dict[str, Facts] = {}


class Judge:
    """Plays subjects through one target and remembers the verdicts."""

    def __init__(self, upstream: Upstream, target: Target, wait: float) -> None:
        self.upstream, self.target, self.wait = upstream, target, wait
        self.verdicts: dict[str, Verdict] = {}

    def verdict(self, one: Subject) -> Verdict:
        """How the subject comes out."""
        if one.ident not in self.verdicts:
            if one.ident in GROWTH:
                self.target.steady()                    # the recorder may be busy with the subject before
            through = run(one, self.target.port, self.upstream, self.target.memory, self.wait)
            self.verdicts[one.ident] = judge(_directly(one, self.upstream), through)
        return self.verdicts[one.ident]

    def changed(self, *subjects: Subject) -> tuple[set[str], set[str]]:
        """The subjects that come out with another meaning, and those with other bytes."""
        verdicts = {one.ident: self.verdict(one) for one in subjects or ALL}
        meaning = {ident for ident, verdict in verdicts.items() if not verdict.same_meaning}
        return meaning, {ident for ident, verdict in verdicts.items() if not verdict.same_bytes}


def _directly(one: Subject, upstream: Upstream) -> Facts:
    if one.ident not in _DIRECT:
        _DIRECT[one.ident] = run(one, upstream.port, upstream, lambda: 0)
    assert "stalled" not in _DIRECT[one.ident].means, _DIRECT[one.ident].means["stalled"]
    return _DIRECT[one.ident]


@contextlib.contextmanager
def _playing(start: Callable[[int], AbstractContextManager[Target]], wait: float) -> Iterator[Judge]:
    upstream = Upstream()
    try:
        with start(upstream.port) as target:
            yield Judge(upstream, target, wait)
    finally:
        upstream.down()


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """The proxy under test, capture on."""
    folder = tmp_path_factory.mktemp("product")
    with _playing(lambda upstream: targets.under_test(upstream, folder), WAIT) as playing:
        for first in (SUBJECTS["F01"], *[LARGE] * 4):   # what is loaded, and what the large ones take once
            run(first, playing.target.port, playing.upstream, playing.target.memory)
        playing.target.steady()                         # what grows from here on is the subjects' doing
        yield playing


def test_the_catalogue_is_complete() -> None:
    assert {name: sum(category(one) == name for one in ALL) for name in CATEGORIES} == {
        name: count for name, (_, count) in CATEGORIES.items()
    }
    assert len(SUBJECTS) == 100


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.ident)
def test_the_peers_see_the_same_through_the_proxy(one: Subject, product: Judge) -> None:
    verdict = product.verdict(one)
    assert verdict.same_meaning, f"{one.ident} {one.words}: " + "; ".join(verdict.means)


def test_at_least_99_of_100_subjects_are_the_same_to_the_byte(product: Judge) -> None:
    meaning, exact = product.changed()
    assert (meaning, len(exact) <= 1) == (set(), True), {ident: product.verdicts[ident] for ident in exact}


# The harness itself: it finds nothing where nothing is changed, and names what is changed.

IDLE = SUBJECTS["L05"]
QUICK = tuple(one for one in ALL if one is not IDLE)


def test_a_second_direct_run_equals_the_first() -> None:
    with _playing(lambda upstream: contextlib.nullcontext(Target(upstream)), WAIT) as direct:
        assert direct.changed(*QUICK) == (set(), set())


def test_a_plain_byte_relay_keeps_everything(tmp_path: Path) -> None:
    with _playing(lambda upstream: targets.double("plain", upstream, tmp_path), WAIT) as relay:
        assert relay.changed(*QUICK) == (set(), set())


def test_haproxy_keeps_every_meaning_and_turns_a_reset_into_a_fin(tmp_path: Path) -> None:
    if not targets.installed("haproxy"):
        pytest.skip("haproxy is not installed")
    with _playing(lambda upstream: targets.haproxy(upstream, tmp_path), WAIT) as relay:
        assert relay.changed(*QUICK) == (set(), {"C17"})


def test_nginx_rewrites_heads_and_has_no_half_close(tmp_path: Path) -> None:
    if not targets.installed("nginx"):
        pytest.skip("nginx is not installed")
    heads = {f"E0{number}" for number in range(1, 9)} | {f"S0{number}" for number in range(1, 5)}
    with _playing(lambda upstream: targets.nginx(upstream, tmp_path), WAIT) as relay:
        meaning, exact = relay.changed(*QUICK)
    assert meaning == {"C19", "H13", "H17", "H19"}
    assert exact == meaning | heads | {"C16", "C17"}


CARELESS = {
    "H04": "forgets Authorization", "H08": "forgets Origin", "H11": "makes its own key", "H18": "repairs the accept value",
    "E01": "answers 101 before the CSMS's 401", "E09": "answers 101 with no CSMS there", "F13": "answers pings itself",
    "F19": "limits messages to 1 MiB", "D02": "negotiates for itself",
    "V01": "refuses invalid UTF-8", "V15": "refuses a length form",
    "C02": "loses the close code", "C12": "answers Close itself", "C14": "invents a Close", "S01": "knows no POST",
}
CARELESS_BYTES = {"F07": "joins fragments", "F17": "masks anew", "F18": "waits for the whole frame", "H21": "masks anew"}


def test_a_careless_relay_is_found_out_subject_by_subject(tmp_path: Path) -> None:
    with _playing(lambda upstream: targets.double("careless", upstream, tmp_path), SHORT) as relay:
        relay.changed(*(SUBJECTS[ident] for ident in CARELESS))
        relay.wait = WAIT                               # these must not be taken for stalled
        meaning, exact = relay.changed(*(SUBJECTS[ident] for ident in (*CARELESS, *CARELESS_BYTES)))
    assert meaning == set(CARELESS)
    assert exact == set(CARELESS) | set(CARELESS_BYTES)
