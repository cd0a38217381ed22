"""Whether plugins can be loaded with the options a configuration gives them. A process of its own loads them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from ocpp_proxy.config import Config
from ocpp_proxy.model import ConfigError, PluginError

SECONDS = 8.0
MODULE = "ocpp_proxy.cli.fitting"
Wanted = tuple[str, Mapping[str, Any]]


def refuse_unfit(before: Config, fresh: Config) -> None:
    """Raise ``ConfigError`` when a plugin cannot be had as ``fresh`` wants it. What is as ``before`` is not asked again."""
    if (before.enable, before.links, before.plugins) == (fresh.enable, fresh.links, fresh.plugins):
        return
    past = _wanted(before)
    new = [one for one in _wanted(fresh) if one not in past]
    if not new:
        return
    names = ", ".join(dict.fromkeys(word for word, _ in new))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", MODULE], input=msgspec.json.encode(new), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=SECONDS, check=False)
        errors = msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[str])
    except subprocess.TimeoutExpired:
        raise ConfigError(f"plugins ({names}): not loaded within {SECONDS:.0f} s") from None
    except msgspec.MsgspecError:
        raise ConfigError(f"plugins ({names}): the process that loads them ends") from None
    if errors:
        raise ConfigError("\n".join(errors))


def _wanted(config: Config) -> list[Wanted]:
    """The plugins it names, and those that it has options for: somebody may have enabled them by hand."""
    from ocpp_proxy.plugins import known, name_of  # late: else every supervisor has the rules in memory

    words = list(dict.fromkeys([*config.enable, *(word for rule in config.links for word in rule.plugins)]))
    named, installed = {name_of(word) for word in words}, known()
    words += [name for name in config.plugins if name not in named and name in installed]
    return [(word, config.plugins.get(name_of(word), {})) for word in words]


def main() -> None:
    """Say for the plugins on stdin what is wrong with them: a line of JSON, the last one there is."""
    from ocpp_proxy.plugins import either

    errors = list[str]()
    for word, options in msgspec.json.decode(sys.stdin.buffer.read(), type=list[tuple[str, dict[str, Any]]]):
        try:
            either(word, options)
        except PluginError as error:
            errors.append(str(error))
    sys.stdout.flush()
    os.write(1, b"\n" + msgspec.json.encode(errors))
    os._exit(0)


if __name__ == "__main__":
    main()
