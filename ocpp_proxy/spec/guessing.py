"""Owns the guess of the version from action names and payload shapes, where no subprotocol was negotiated."""


def fits(action: str, answer: bool, payload: object) -> tuple[str, ...]:
    """The versions (of 1.6, 2.0, 2.0.1, 2.1) whose schema of the action the payload fits at grade "errata", oldest first."""
    return ()


def guess(action: str, payload: object, answer: bool = False) -> str | None:
    """The version a message most likely is of ("1.6", "2.0", "2.0.1", "2.1"), or None when it could be of both families."""
    return None
