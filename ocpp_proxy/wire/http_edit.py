"""Edits of an HTTP head that leave every other byte as it was: routing, lenient repairs, masking of credentials.

Works on any bytes, also on heads the reader calls odd, and never raises.
"""

import re
from collections.abc import Iterable

_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_START = re.compile(rb"(\S+ +)(.*?)( +HTTP/\d\.\d[ \t]*)?(\r*\n|\Z)", re.DOTALL)
_CREDENTIALS = re.compile(
    rb"((?:\A|[\r\n])[ \t\0]*(?:proxy-)?authorization[ \t\0]*:[ \t]*(?:[!#$%&'*+.^_`|~0-9a-z-]+[ \t]+(?=[^ \t\r\n]))?)"
    rb"((?:[^\r\n]|\r(?!\n)|\r?\n[ \t])+)",
    re.IGNORECASE,
)


def mask_authorization(raw: bytes) -> bytes:
    """Replace credentials of (Proxy-)Authorization headers by ``***``, keeping the scheme; works on cut heads too."""
    if b"authorization" not in raw.lower():
        return raw
    return _CREDENTIALS.sub(rb"\1***", raw)


def rewrite(
    raw: bytes, *, target: bytes | None = None, version: bytes | None = None, host: bytes | None = None,
    remove: Iterable[bytes] = (), replace: Iterable[tuple[bytes, bytes]] = (), add: Iterable[tuple[bytes, bytes]] = (),
    crlf: bool = False,
) -> bytes:
    """Change only what is asked for in a complete head; every other byte stays.

    ``target``/``version`` (``b"HTTP/1.1"``): parts of the start line. ``host``: the value of the Host header, added when
    there is none. ``remove``: header names. ``replace``: new values of headers that are there (all of that name).
    ``add``: headers appended at the end. ``crlf``: every line ends with CRLF, empty lines before the start are dropped.
    """
    if crlf:
        raw = re.sub(rb"\r*\n", b"\r\n", raw.lstrip(b"\r\n"))
    lead = len(raw) - len(raw.lstrip(b"\r\n"))
    lines = _LINE.findall(raw[lead:])
    if not lines:
        return raw
    start = _start_line(lines[0], target, version)
    changes = {name.lower(): value for name, value in replace}
    added = list(add)
    if host is not None:
        if any(_name(line) == b"host" for line in lines[1:]):
            changes[b"host"] = host
        else:
            added.insert(0, (b"Host", host))
    headers = _headers(lines[1:], {name.lower() for name in remove}, changes)
    end = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
    last = len(headers) - 1 if headers and not headers[-1].strip(b"\r\n") else len(headers)
    headers[last:last] = [name + b": " + value + end for name, value in added]
    return raw[:lead] + start + b"".join(headers)


def _start_line(line: bytes, target: bytes | None, version: bytes | None) -> bytes:
    found = _START.fullmatch(line)
    if found is None:
        return line
    method, old, tail, end = found[1], found[2], found[3] or b"", found[4]
    if version is not None:
        tail = b" " + version
    return method + (old if target is None else target) + tail + end


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].rstrip(b" \t").lower() if b":" in line else b""


def _headers(lines: list[bytes], remove: set[bytes], changes: dict[bytes, bytes]) -> list[bytes]:
    """The header lines with the changes made; a folded line belongs to the header before it."""
    out: list[bytes] = []
    skip = False
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not skip:
                out.append(line)
            continue
        name = _name(line)
        skip = bool(name) and (name in remove or name in changes)
        if not name or name not in changes or name in remove:
            if not skip:
                out.append(line)
            continue
        head, _, rest = line.partition(b":")
        blank = rest[: len(rest) - len(rest.lstrip(b" \t"))]
        out.append(head + b":" + blank + changes[name] + line[len(line.rstrip(b"\r\n")) :])
    return out
