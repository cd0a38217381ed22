"""Settings of ``run`` from their four places, each value with its origin: default < file < ``OCPP_PROXY_*`` < command line.

All mistakes are told at once, each as ``file:line: key: what``, with the nearest known key.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy.config import Config, LinkRule
from ocpp_proxy.model import ConfigError

PREFIX = "OCPP_PROXY_"
DEFAULT = "default"
_OTHER_NAMES = {"OCPP_PROXY_CONFIG", "OCPP_PROXY_RUNTIME", "OCPP_PROXY_TOKEN", "OCPP_PROXY_CORPUS"}


_TABLES = (tuple[LinkRule, ...], dict[str, dict[str, Any]])      # given as JSON in a variable or --set


class Leaf(Struct, frozen=True):
    """One setting: its dotted key (``tls.cert``), type, default, and the environment variable that sets it."""

    key: str
    type: Any
    default: Any
    variable: str


class Settings(Struct, frozen=True):
    """The merged configuration; ``origins`` says for each dotted key where its value came from."""

    config: Config
    origins: dict[str, str]
    warnings: list[str]

    def where(self, key: str) -> str:
        """Origin and key, for an error text."""
        origin = self.origins.get(key, DEFAULT)
        return key if origin == DEFAULT else f"{origin}: {key}"


def leaves(kind: type[Struct] = Config, before: str = "") -> Iterator[Leaf]:
    """All settings, in the order of their definition."""
    for field in msgspec.structs.fields(kind):
        key = before + field.name
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from leaves(field.type, key + ".")
        else:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            yield Leaf(key, field.type, default, PREFIX + key.upper().replace(".", "_"))


def load(path: str | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Merge the four places. ``flags`` maps dotted keys to values (None: not given). Raises ``ConfigError``.

    ``rules`` is one table: ``rules.R05 = "off"`` in the file, ``OCPP_PROXY_RULES_R05``, ``--set rules.R05=off``.
    """
    known = {leaf.key: leaf for leaf in leaves()}
    values: dict[str, Any] = {}
    origins = dict.fromkeys(known, DEFAULT)
    problems: list[str] = []
    for key, value, origin, strict in (
        *_from_file(path or environment.get("OCPP_PROXY_CONFIG"), known, problems),
        *_from_environment(environment, known),
        *((key, value, "command line", False) for key, value in flags.items() if value is not None),
    ):
        leaf = _leaf(key, known)
        if leaf is None:
            problems.append(f"{origin}: {key}: {_unknown(key, known)}")
            continue
        try:
            values[key] = _convert(value, leaf.type, strict)
            origins[key] = origin
        except msgspec.ValidationError as error:
            problems.append(f"{origin}: {key}: {_reason(error, value)}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Settings(_build(values), origins, _strange(environment, known))


def _leaf(key: str, known: Mapping[str, Leaf]) -> Leaf | None:
    if key.startswith("rules.") and key.count(".") == 1:
        return Leaf(key, str, "", "")
    if key.startswith("plugins.") and key.count(".") == 2:
        return Leaf(key, Any, None, "")
    return known.get(key)


def _build(values: Mapping[str, Any]) -> Config:
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    return msgspec.convert(tree, Config)


def _convert(value: Any, kind: Any, strict: bool) -> Any:
    if not strict and isinstance(value, str) and kind == tuple[str, ...]:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not strict and isinstance(value, str) and kind == dict[str, str]:
        value = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    elif not strict and isinstance(value, str) and kind in _TABLES:
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise msgspec.ValidationError(f"no JSON: {error}") from None
    return msgspec.convert(value, kind, strict=strict)


def _reason(error: msgspec.ValidationError, value: Any) -> str:
    words = re.sub(r" - at `.*", "", str(error)).replace("`", "")
    return f"{words[:1].lower()}{words[1:]}: {value!r}"


def _from_file(path: str | None, known: Mapping[str, Leaf], problems: list[str]) -> Iterator[tuple[str, Any, str, bool]]:
    if path is None:
        return
    try:
        text = Path(path).read_text("utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise ConfigError(f"{path}:{line[1] if line else len(text.splitlines())}: no valid TOML: {error}") from None
    lines = _lines(text)
    sections = {key.rsplit(".", 1)[0] for key in known if "." in key}
    yield from _flat(tree, "", path, lines, sections, problems)


def _flat(
    tree: Mapping[str, Any], before: str, path: str, lines: Mapping[str, int], sections: set[str], problems: list[str],
) -> Iterator[tuple[str, Any, str, bool]]:
    for name, value in tree.items():
        key = before + name
        origin = f"{path}:{lines.get(key) or lines.get(before.rstrip('.')) or 1}"
        if key in sections and not isinstance(value, dict):
            problems.append(f"{origin}: {key}: is a section: write [{key}]")
        elif isinstance(value, dict) and (key in sections or key == "rules"):
            yield from _flat(value, key + ".", path, lines, sections, problems)
        else:
            yield key, value, origin, True


def _lines(text: str) -> dict[str, int]:
    """Line of each key and section of a TOML text. Good enough for messages: keys inside inline tables share a line."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[{1,2}\s*([\w.\- ]+?)\s*\]", line):
            section = header[1] + "."
            found.setdefault(header[1].split(".")[0], number)
            found.setdefault(header[1], number)
        elif key := re.match(r"""\s*["']?([\w.\-]+)["']?\s*=""", line):
            found.setdefault(section + key[1], number)
    return found


def _from_environment(environment: Mapping[str, str], known: Mapping[str, Leaf]) -> Iterator[tuple[str, Any, str, bool]]:
    for leaf in known.values():
        if leaf.variable in environment:
            yield leaf.key, environment[leaf.variable], leaf.variable, False
    start = PREFIX + "RULES_"
    for name in sorted(environment):
        if name.startswith(start):
            yield "rules." + name.removeprefix(start), environment[name], name, False


def _strange(environment: Mapping[str, str], known: Mapping[str, Leaf]) -> list[str]:
    """Variables that look like a misspelt setting. No error: orchestrators set names of this shape by themselves."""
    names = {leaf.variable for leaf in known.values()} | _OTHER_NAMES
    found = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in names and not name.startswith(PREFIX + "RULES_"):
            close = get_close_matches(name, names, 1, 0.85)
            found += [f"{name} is no setting and has no effect: did you mean {close[0]}?"] if close else []
    return found


def _unknown(key: str, known: Mapping[str, Leaf]) -> str:
    names = list(known)
    close = get_close_matches(key, names, 1) or [name for name in names if name.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    return "unknown setting" + (f": did you mean {close[0]}?" if close else "; `ocpp-proxy config show` lists them all")


def value_of(config: Config, key: str) -> Any:
    """The value of a dotted key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def environment() -> dict[str, str]:
    """The process's environment variables that concern us."""
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
