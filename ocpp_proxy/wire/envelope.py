"""The words of message decoding: the envelope, what is refused, the faults, the caps."""

from msgspec import UNSET, Struct, UnsetType

MAX_INLINE = 1 << 20        # bytes of text that are decoded inline
MAX_DEPTH = 200             # orjson encodes to 254, and what walks a value recursively needs several calls a level
MAX_ID = 36

FAULTS = {
    "not_json": "the text is not JSON", "utf8": "the text is not UTF-8", "bom": "a byte order mark stands before the text",
    "nan": "NaN or Infinity, which JSON does not have", "surrogate": "an escaped half of a surrogate pair",
    "big_number": "a number outside 64 bits", "duplicate_keys": "an object names a key twice",
    "depth": f"nested deeper than {MAX_DEPTH}", "size": "over 1 MiB: not decoded inline",
    "shape": "not an array of the right length and types", "type_unknown": "the message type is none of 2 to 6",
    "type_not_integer": "the message type is written as a string or a decimal number",
    "id_not_string": "the message id is not a string", "id_null": "the message id is null",
    "id_empty": "the message id is empty", "id_long": "the message id has more than 36 characters",
    "payload_null": "the payload is null", "payload_not_object": "the payload is not an object",
    "details": "errorDetails is missing or not an object",
}
NOT_STRICT = frozenset(("not_json", "utf8", "bom", "nan", "surrogate"))     # faults of a text that is not strict JSON


class Envelope(Struct, frozen=True, gc=False):
    """A decoded message.

    ``mtype`` 2 to 6; 0: not decodable, ``payload`` is then the whole text (id and action are filled as far as they can be
    read). ``value``: the decoded payload, for reading only; ``UNSET`` where it was refused. ``prefix``/``suffix``: the
    text around the payload, both empty when it is canonical: ``rebuild`` gives the text back. ``error``/``error_at``:
    what the JSON decoder said, and the character it stopped at.
    """

    mtype: int
    message_id: str = ""
    action: str = ""
    payload: bytes = b""
    value: object | UnsetType = UNSET
    prefix: bytes = b""
    suffix: bytes = b""
    error_code: str = ""
    error_desc: str = ""
    faults: tuple[str, ...] = ()
    error: str = ""
    error_at: int = -1


class Refused(Struct, frozen=True, gc=False):
    """What ``load`` gives for a payload it does not decode."""

    fault: str
    error: str = ""
    error_at: int = -1
