"""Keys from the settings: every action has a name (``traffic.follow``), and ``[keys]`` in ``tui.toml`` gives it other keys."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from textual.binding import Binding
from textual.dom import DOMNode

from ocpp_proxy.model import ConfigError


def names(classes: Iterable[type[DOMNode]]) -> dict[str, Binding]:
    """All actions that have a name, in the order of the classes."""
    found: dict[str, Binding] = {}
    for one in classes:
        for binding in one.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                found.setdefault(binding.id, binding)
    return found


def keymap(given: Mapping[str, str], known: Mapping[str, Binding]) -> dict[str, str]:
    """The user's keys as Textual takes them. Raises ``ConfigError`` for a name that does not exist."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; `?` in the application lists them"
            raise ConfigError(f"keys: there is no action {name}{hint}")
    return dict(given)
