"""The simulated CSMS: answers what a charger of OCPP 1.6, 2.0.1 or 2.1 asks, and sends what its script tells it to.

``run simulate`` puts it behind the proxy (a charger on the bench, no back end); the demo adds faults by identity.
"""

import asyncio
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SUBPROTOCOLS = [Subprotocol(name) for name in ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")]
Call = tuple[str, dict[str, Any]]
Answer = dict[str, Any] | None              # None: no answer is sent


def timestamp() -> str:
    """The time now as OCPP wants it (RFC 3339, UTC, milliseconds)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SimulatedCsms:
    """One CSMS. ``fault(identity, action, answer)`` may change or withhold an answer; ``script(identity)`` are its Calls.

    ``sent`` and ``received`` count the OCPP messages of all links: what the demo compares the capture with.
    """

    def __init__(
        self,
        fault: Callable[[str, str, Answer], Answer] | None = None,
        script: Callable[[str], Sequence[Call]] | None = None,
    ) -> None:
        self.fault = fault
        self.script = script
        self.sent = 0
        self.received = 0
        self.open: Counter[str] = Counter()             # links that stand, by identity
        self._transactions = itertools.count(1001)
        self._ids = itertools.count(1)

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> Server:
        """Start listening; the caller closes the server."""
        return await serve(self.link, host, port, subprotocols=SUBPROTOCOLS, ping_interval=None)

    async def link(self, socket: ServerConnection) -> None:
        """Serve one charger until it goes."""
        identity = unquote((socket.request.path if socket.request else "/").split("?")[0].rsplit("/", 1)[-1])
        calls = list(self.script(identity)) if self.script else []
        self.open[identity] += 1
        open_call = ""
        try:
            async for text in socket:
                self.received += 1
                open_call = await self._message(socket, identity, text, calls, open_call)
        except ConnectionClosed:
            return
        finally:
            self.open[identity] -= 1

    async def _message(
        self, socket: ServerConnection, identity: str, text: str | bytes, calls: list[Call], open_call: str,
    ) -> str:
        """Answer, and go on with the script once no Call of ours is open; gives the id of the one that is then."""
        try:
            message = orjson.loads(text)
            kind, message_id, action, payload = message if message[0] in (2, 6) else (*message[:2], "", {})
        except (orjson.JSONDecodeError, TypeError, ValueError, IndexError):
            return open_call
        if kind == 2:
            answer = self.answer(action, payload)
            if self.fault:
                answer = self.fault(identity, action, answer)
            if answer is None:
                return open_call
            await self._send(socket, [3, message_id, answer])
        elif message_id == open_call:
            open_call = ""
        if calls and not open_call:
            name, arguments = calls.pop(0)
            open_call = f"csms-{next(self._ids)}"
            await self._send(socket, [2, open_call, name, arguments])
        return open_call

    async def _send(self, socket: ServerConnection, message: list[Any]) -> None:
        self.sent += 1
        await socket.send(orjson.dumps(message).decode())

    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        """A valid answer to a Call of a charger; the empty object where the version asks for nothing more."""
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": timestamp(), "interval": 300}
            case "Heartbeat":
                return {"currentTime": timestamp()}
            case "Authorize" if "idTag" in payload:
                return {"idTagInfo": {"status": "Accepted"}}
            case "Authorize":
                return {"idTokenInfo": {"status": "Accepted"}}
            case "StartTransaction":
                return {"transactionId": next(self._transactions), "idTagInfo": {"status": "Accepted"}}
            case "TransactionEvent" if "idToken" in payload:
                return {"idTokenInfo": {"status": "Accepted"}}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate" | "Get15118EVCertificate":
                return {"status": "Rejected"}
            case _:
                return {}


@contextlib.contextmanager
def simulated(csms: SimulatedCsms | None = None) -> Iterator[str]:
    """A CSMS in a thread of its own, on a free loopback port; gives its URL."""
    peer = csms or SimulatedCsms()
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def live() -> None:
        found["loop"], found["stop"] = asyncio.get_running_loop(), asyncio.Event()
        server = await peer.listen()
        found["port"] = server.sockets[0].getsockname()[1]
        ready.set()
        await found["stop"].wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(live(),), daemon=True, name="simulated-csms")
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the simulated CSMS did not start")
    try:
        yield f"ws://127.0.0.1:{found['port']}"
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(10)
