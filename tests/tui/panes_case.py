"""The application on one of its screens, for tests: with a source that counts what is asked and can fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from ocpp_proxy_tui.app import ProxyApp
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.settings import Settings
from ocpp_proxy_tui.widgets.table_view import TableView
from textual.pilot import Pilot

from ocpp_proxy.cli.printing import render
from ocpp_proxy.model import CaptureError, Finding, Severity
from ocpp_proxy.source import Charger, Charging, FindingGroup, FoundAt, LogLine, Sample, Table
from tests.tui.sources import MemorySource

Body = Callable[[ProxyApp, Pilot[None]], Awaitable[None]]
S = 1_000_000_000
START = 1_767_323_040 * S


class Counting(MemorySource):
    """A ``MemorySource`` that counts questions by name; ``failing`` questions raise ``CaptureError``."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.asked: list[tuple[str, ...]] = []
        self.failing = ""

    def times(self, name: str) -> int:
        """How often something was asked."""
        return sum(one[0] == name for one in self.asked)

    def _ask(self, *what: str) -> None:
        self.asked.append(what)
        if self.failing:
            raise CaptureError(self.failing)

    async def chargers(self) -> list[Charger]:
        self._ask("chargers")
        return await super().chargers()

    async def finding_groups(self, identity: str = "") -> list[FindingGroup]:
        self._ask("finding_groups", identity)
        return await super().finding_groups(identity)

    async def findings(self, code: str = "", identity: str = "", limit: int = 1000) -> list[FoundAt]:
        self._ask("findings", code, identity)
        return await super().findings(code, identity, limit)

    async def transactions(self, identity: str = "", limit: int = 10_000) -> list[Charging]:
        self._ask("transactions", identity)
        return await super().transactions(identity, limit)

    async def curve(self, charging: Charging) -> list[Sample]:
        self._ask("curve", charging.tx_id)
        return await super().curve(charging)

    async def log(self, after_ns: int = 0) -> list[LogLine]:
        self._ask("log", str(after_ns))
        return await super().log(after_ns)

    async def query(self, query: str, parameters: dict[str, str]) -> Table:
        self._ask("query", query, *(f"{name}={value}" for name, value in parameters.items()))
        return await super().query(query, parameters)


def on(source: MemorySource, title: str, body: Body, folder: Path, size: tuple[int, int] = (120, 40), **settings: Any) -> None:
    """Run the application at a size on the screen of that title, and what ``body`` does with it."""
    app = ProxyApp(source, Settings(hz=50, **settings), folder / "view.toml", render)

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            await app.go(app.pane(title))
            await settled(pilot)
            await body(app, pilot)
    asyncio.run(main())


async def settled(pilot: Pilot[None]) -> None:
    """Wait for all questions that are on their way and what follows from them."""
    for _ in range(3):
        await pilot.pause()
        asking = [worker for worker in pilot.app.workers if worker.group in ("ask", "each", "curve", "query", "default")]
        for worker in asking:
            await asyncio.wait_for(_ended(worker), 20)
    await pilot.pause()


async def _ended(worker: Any) -> None:
    while not worker.is_finished:
        await asyncio.sleep(0)


async def until(pilot: Pilot[None], done: Callable[[], object]) -> None:
    """Wait for a condition."""
    for _ in range(1_000):
        if done():
            return
        await pilot.pause(0.01)
    raise AssertionError("it does not happen")


def due(pane: Pane) -> None:
    """As if the time to ask again had come."""
    pane._asked_at = -1e9                   # type: ignore[attr-defined]    # panes that ask have it


def table(app: ProxyApp, selector: str = "") -> TableView:
    """The first table, or that of the selector, of the visible screen."""
    return app._active.query(TableView).first() if not selector else app._active.query_one(selector, TableView)


def cells(shown: TableView, column: str = "") -> list[Any]:
    """The texts of the rows, or of one column of them."""
    if column:
        at = shown.names.index(column)
        return [row.cells[at].text for row in shown.shown]
    return [tuple(cell.text for cell in row.cells) for row in shown.shown]


def lines(shown: TableView) -> list[str]:
    """What the table draws."""
    return [shown.render_line(y).text.rstrip() for y in range(shown.size.height)]


def screen(app: ProxyApp) -> list[str]:
    """The whole screen, line by line."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


def group(code: str, count: int = 1, chargers: Sequence[str] = ("CP1",), severity: Severity = Severity.ERROR) -> FindingGroup:
    """A group of findings."""
    return FindingGroup(code, severity, "csms", f"title of {code}", "1.6 §5", count, tuple(chargers), START, START, "newest")


def found(code: str, finding_id: int, identity: str = "CP1", **more: Any) -> FoundAt:
    """A finding."""
    number = more.pop("number", 0)
    return FoundAt(Finding(finding_id, code, Severity.ERROR, "csms", 1, identity, START + finding_id * S,
                           f"what {finding_id} says", **more), number)
