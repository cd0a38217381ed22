"""The WebSocket that an observer dials: ``api.Dialled`` over the ``websockets`` library. Every failure is an ``OSError``."""

from collections.abc import Mapping, Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ocpp_proxy.escape import safe_text

DIAL_SECONDS = 30.0
MESSAGE_BYTES = 1 << 20                     # of one message; a larger one ends the connection (1009)
MESSAGES = 16                               # that wait to be taken; then the other side waits


class Socket:
    """``api.Dialled``."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.protocol = connection.subprotocol or ""

    async def send(self, text: bytes) -> None:
        """Send one text message. Raises ``OSError`` when it is closed."""
        try:
            await self._connection.send(text, text=True)
        except ConnectionClosed as error:
            raise ConnectionResetError(_ended(error)) from None

    async def receive(self) -> bytes | None:
        """The next message; None when the other side has closed."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed:
            return None

    async def close(self) -> None:
        """Close it: with a Close frame where the other side still answers."""
        await self._connection.close()


async def dial(url: str, offer: Sequence[str], headers: Mapping[str, str]) -> Socket:
    """Open a WebSocket. Raises ``OSError`` that says why not."""
    try:
        return Socket(await connect(
            url, subprotocols=[Subprotocol(name) for name in offer] or None, additional_headers=dict(headers),
            open_timeout=DIAL_SECONDS, max_size=MESSAGE_BYTES, max_queue=MESSAGES, proxy=None,
        ))
    except InvalidStatus as error:
        raise ConnectionRefusedError(f"answered {error.response.status_code}") from None
    except TimeoutError:
        raise TimeoutError(f"no answer within {DIAL_SECONDS:.0f} s") from None
    except OSError as error:
        if str(error):
            raise
        raise ConnectionResetError("it ended without an answer") from None
    except (WebSocketException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {safe_text(str(error), 200)}") from None


def _ended(error: ConnectionClosed) -> str:
    close = error.rcvd or error.sent
    return f"closed with {close.code} {safe_text(close.reason, 123)}".rstrip() if close is not None else "ended without a Close"
