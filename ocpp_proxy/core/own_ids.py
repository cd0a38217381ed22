"""Message ids of Calls we make on one link: UUIDs that begin with a tag of the link, so that a late answer is known as ours."""

from collections.abc import Callable
from uuid import UUID

TAG = 12                                    # hex digits (48 bits) that all own ids of a link share


class OwnIds:
    """``entropy(count)`` gives random bytes."""

    __slots__ = ("_entropy", "_tag")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._tag = entropy(TAG // 2)

    def new(self) -> str:
        """A fresh id: a version 4 UUID (36 characters, the most OCPP-J allows)."""
        return str(UUID(bytes=self._tag + self._entropy(16 - TAG // 2), version=4))

    def is_own(self, message_id: str) -> bool:
        """Whether ``new`` of this link gave it, at any time."""
        return len(message_id) == 36 and message_id.replace("-", "")[:TAG] == self._tag.hex()
