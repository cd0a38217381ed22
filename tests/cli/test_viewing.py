"""Opening the source of the terminal UI while the proxy is still being started; what a start does not load."""

import asyncio
import subprocess
import sys
from itertools import count

import pytest

from ocpp_proxy.cli import viewing
from tests.tui.sources import MemorySource


def opening(monkeypatch: pytest.MonkeyPatch, failures: int, step: float) -> MemorySource:
    """``viewing`` as it is with a proxy that answers after so many failures; ``step``: seconds that a try takes."""
    source, clock, tries = MemorySource([]), count(0.0, step), count()

    async def open_source(text: str | None) -> MemorySource:
        if next(tries) < failures:
            raise ConnectionError("nobody answers.")
        return source

    monkeypatch.setattr(viewing, "open_source", open_source)
    monkeypatch.setattr(viewing, "monotonic", lambda: next(clock))
    monkeypatch.setattr(viewing, "RETRY_SECONDS", 0.0)
    return source


def test_a_proxy_that_is_just_being_started_is_waited_for_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    source = opening(monkeypatch, 15, 0.1)
    assert asyncio.run(viewing._open("unix:/x")) is source
    assert capsys.readouterr() == ("", "")


def test_who_waits_longer_is_told_so_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = opening(monkeypatch, 8, 1.0)
    assert asyncio.run(viewing._open(None)) is source
    assert capsys.readouterr().err == "nobody answers. Trying for 10 s.\n"


def test_a_proxy_that_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    opening(monkeypatch, 99, 1.0)
    with pytest.raises(ConnectionError):
        asyncio.run(viewing._open(None))


@pytest.mark.parametrize(("modules", "without"), [
    ("ocpp_proxy.demo.play", {"aiohttp", "structlog", "lark", "textual", "duckdb"}),
    ("ocpp_proxy.cli.running, ocpp_proxy.supervisor", {"aiohttp", "structlog", "textual", "duckdb", "cryptography"}),
    ("ocpp_proxy.cli.viewing, ocpp_proxy_tui.start, ocpp_proxy.hub.client",
     {"aiohttp.web", "structlog", "duckdb", "pyarrow", "cryptography"}),
], ids=["demo", "run", "tui"])
def test_a_start_loads_nothing_that_it_does_not_need(modules: str, without: set[str]) -> None:
    code = f"import sys, {modules}; sys.exit(str({without!r} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.strip() == ""
