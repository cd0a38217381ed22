"""Owns the reading of files: the official schemas in the installed package ``ocpp``, and our own data beside this file.

The only file of this floor that opens files. The package is never imported, only located.
"""

from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import orjson

_FOLDERS = {"1.6": "ocpp/v16/schemas", "2.0.1": "ocpp/v201/schemas", "2.1": "ocpp/v21/schemas"}

_BOM = b"\xef\xbb\xbf"

Schema = dict[str, object]


def _folder(version: str) -> Path:
    return Path(str(distribution("ocpp").locate_file(_FOLDERS[version])))


def messages(version: str) -> list[str]:
    """Names of the official schema files of 1.6, 2.0.1 or 2.1, without ".json", sorted; [] for any other version."""
    if version not in _FOLDERS:
        return []
    return sorted(path.name.removesuffix(".json") for path in _folder(version).glob("*.json"))


def schema(version: str, message: str) -> Schema:
    """One official schema, as published."""
    return _object((_folder(version) / f"{message}.json").read_bytes())


def differences_2_0() -> Schema:
    """Our table of what OCPP 2.0 has otherwise than 2.0.1 (its key "about" explains the notation)."""
    return _object((files("ocpp_proxy.spec") / "data" / "ocpp20.json").read_bytes())


def _object(text: bytes) -> Schema:
    found = orjson.loads(text.removeprefix(_BOM))
    if not isinstance(found, dict):
        raise TypeError("a schema file holds a JSON object")
    return found
