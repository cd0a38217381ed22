"""A charger in a thread, for tests whose own thread runs commands: it answers what it is asked, and says what it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

SECONDS = 60.0


class Station:
    """``asked``: Calls of the other side, each answered with ``answer``; ``closed``: how the link ended (code)."""

    def __init__(self, link: ClientConnection) -> None:
        self._link = link
        self.asked: Queue[list[Any]] = Queue()
        self._answers: Queue[list[Any]] = Queue()
        self.closed: Queue[int] = Queue()
        self.answer: dict[str, Any] = {"status": "Accepted"}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def say(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        """Send a Call."""
        self._link.send(json.dumps([2, message_id, action, payload]))

    def told(self) -> list[Any]:
        """The next answer."""
        return self._answers.get(timeout=SECONDS)

    def end(self) -> None:
        """Close the link."""
        self._link.close()
        self._thread.join(SECONDS)

    def _read(self) -> None:
        try:
            for text in self._link:
                message = json.loads(text)
                if message[0] == 2:
                    self.asked.put(message)
                    self._link.send(json.dumps([3, message[1], self.answer]))
                else:
                    self._answers.put(message)
        except ConnectionClosed:
            pass
        self.closed.put(self._link.close_code or 0)


@contextmanager
def station(port: int, identity: str = "CP1") -> Iterator[Station]:
    """A charger of OCPP 1.6 that has booted."""
    url = f"ws://127.0.0.1:{port}/{identity}"
    with connect(url, subprotocols=[Subprotocol("ocpp1.6")], ping_interval=None, open_timeout=SECONDS) as link:
        made = Station(link)
        try:
            made.say("boot", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "X"})
            assert made.told()[:2] == [3, "boot"]
            yield made
        finally:
            made.end()
