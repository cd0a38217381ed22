"""What server and client of the control API have in common: bodies of questions, numbers as they travel, a header."""

import sys
from array import array

from msgspec import Struct

MISSING = "X-Ocpp-Proxy-Missing"            # which relay workers an answer is without, and why


class Ask(Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/query``."""

    query: str
    parameters: dict[str, str] = {}


def packed(numbers: "array[int]") -> bytes:
    """Numbers as they travel: little-endian 64 bit."""
    if sys.byteorder == "big":
        numbers = array("q", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def unpacked(body: bytes) -> "array[int]":
    """The reverse of ``packed``."""
    numbers = array("q")
    numbers.frombytes(body)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
