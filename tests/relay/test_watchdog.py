"""A hook that takes too long is interrupted by what it takes of the processor; one that does not get it has more time."""

import time
from collections.abc import Iterator

import pytest

from ocpp_proxy.core.seats import HookTimeout
from ocpp_proxy.relay import watchdog
from ocpp_proxy.relay.watchdog import Watchdog


@pytest.fixture
def dog() -> Iterator[Watchdog]:
    made = Watchdog()
    yield made
    made.close()


def test_a_hook_that_runs_on_and_on_is_interrupted(dog: Watchdog) -> None:
    dog.enter(dog.number("p"))
    with pytest.raises(HookTimeout):
        for _ in range(10**10):
            pass
    dog.leave()


def test_a_hook_that_waits_is_interrupted_too(dog: Watchdog) -> None:
    dog.enter(dog.number("p"))
    with pytest.raises(HookTimeout):
        time.sleep(60)
    dog.leave()


def looks(dog: Watchdog, monkeypatch: pytest.MonkeyPatch, *times: tuple[int, int]) -> list[bool]:
    """It looks at these times (ms since the hook began, ms it ran in all): whether the hook is interrupted."""
    clock = [(0, 0)]
    monkeypatch.setattr(watchdog, "monotonic_ns", lambda: 10**9 + clock[0][0] * 10**6)
    monkeypatch.setattr(watchdog, "thread_time_ns", lambda: clock[0][1] * 10**6)
    dog.enter(dog.number("p"))
    said = []
    for at in times:
        clock[0] = at
        try:
            dog._fired(0, None)
            said.append(False)
        except HookTimeout:
            said.append(True)
    dog.leave()
    return said


@pytest.mark.parametrize(("times", "said"), [
    ([(50, 49)], [True]),                                   # it ran all the time
    ([(50, 5), (100, 10), (150, 15)], [False] * 3),         # others had the processor
    ([(50, 5), (100, 50)], [False, True]),                  # and then it ran
    ([(50, 0), (100, 0), (150, 0), (200, 0), (250, 0)], [False] * 4 + [True]),      # it waits
])
def test_what_counts_is_the_processor_within_bounds(
    dog: Watchdog, monkeypatch: pytest.MonkeyPatch, times: list[tuple[int, int]], said: list[bool],
) -> None:
    assert looks(dog, monkeypatch, *times) == said
