"""What a payload says in one short line, for lists: its scalar values by name, the nested ones by their last name."""

import orjson

LENGTH = 120                                # characters; more is cut with an ellipsis
READ = 8 << 10                              # bytes of a payload that are looked at; larger ones show their beginning
PARTS = 8


def summary(payload: bytes) -> str:
    """``connectorId=1 status=Charging``; of what is no JSON object its text. Not escaped. Never raises."""
    if len(payload) > READ:
        return payload[:LENGTH].decode("utf-8", "replace") + "…"
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return _cut(payload[: LENGTH * 4].decode("utf-8", "replace"))
    parts: list[str] = []
    _tell(value, parts, 2)
    return _cut(" ".join(parts))


def _tell(value: dict[str, object], parts: list[str], depth: int) -> None:
    for name, item in value.items():
        if len(parts) >= PARTS:
            return
        if isinstance(item, dict):
            if depth:
                _tell(item, parts, depth - 1)
        elif isinstance(item, list):
            parts.append(f"{name}[{len(item)}]")
        else:
            parts.append(f"{name}={item if isinstance(item, str) else orjson.dumps(item).decode()}")


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
