"""The words handlers speak: what they are, what they get from the other side, and what they may refuse."""

from collections.abc import Generator
from typing import Any

from msgspec import Struct

from ocpp_proxy.api import Answer, Ask, CallError

_LACKING = ("NotImplemented", "NotSupported")


class Refusal(Struct, frozen=True):
    """A CALLERROR to whom a Call came from, with a code of that side's version."""

    code: str
    description: str = ""


class Got(Struct, frozen=True):
    """What came of a Call of ours: its answer's payload, an error, no answer in time, or (``fault``) it could not be made."""

    payload: dict[str, Any] | None = None
    error: CallError | None = None
    timeout: bool = False
    fault: str = ""

    @property
    def status(self) -> str:
        """``status`` of the answer; empty without one."""
        found = self.payload.get("status") if self.payload is not None else None
        return found if isinstance(found, str) else ""

    @property
    def lacks(self) -> bool:
        """Whether that side says that it does not know such a message."""
        return self.error is not None and self.error.code in _LACKING

    @property
    def why(self) -> str:
        """Why there is no payload, in words."""
        if self.error is not None:
            return f"{self.error.code}: {self.error.description}".rstrip(": ")
        return "no answer in time" if self.timeout else self.fault


Work = Generator[Ask, Answer | None, dict[str, Any] | Refusal]
Background = Generator[Ask, Answer | None, None]
