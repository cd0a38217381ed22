"""Bodies of questions to the control API."""

from msgspec import Struct


class Ask(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/query``."""

    query: str
    parameters: dict[str, str] = {}
