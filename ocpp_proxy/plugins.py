"""Finds, loads and configures plugins: by entry point (group ``ocpp_proxy.plugins``) or from a file, per link.

A file is loaded under a private module name; ``sys.path`` does not change. Nothing is ever loaded that was not named.
"""

import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Struct, structs

from ocpp_proxy.api import Observer, Plugin
from ocpp_proxy.checks import Settings
from ocpp_proxy.config import Config, LinkRule
from ocpp_proxy.core import matching
from ocpp_proxy.core.concealing import conceal
from ocpp_proxy.core.seats import HOOKS, Chain, Installed, OnError, hooks_of
from ocpp_proxy.core.services import Judging, unjudged
from ocpp_proxy.core.single import Single
from ocpp_proxy.core.watching import Switched, Watcher
from ocpp_proxy.model import ConfigError, PluginError
from ocpp_proxy.spec.versions import version_of

GROUP = "ocpp_proxy.plugins"
ON_ERROR = "on_error"
MOST_SWITCHED = 256
Kind = type[Plugin] | type[Observer]
_SEES = ("see", "end")                      # what an observer overrides


class Described(Struct, frozen=True):
    """A plugin, for who lists them. ``origin``: package and object, or the file; ``error``: why it cannot be loaded."""

    name: str
    origin: str
    version: str = ""
    hooks: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    about: str = ""
    error: str = ""


def known() -> dict[str, EntryPoint]:
    """The installed plugins by name; none is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def name_of(word: str) -> str:
    """The name of a plugin as it is given: its own, or the stem of its file."""
    return Path(word).stem if is_file(word) else word


def is_file(word: str) -> bool:
    """Whether a plugin is given as a file."""
    return word.endswith(".py") or "/" in word


def load(word: str) -> Kind:
    """The class of a plugin or observer, by name or file. Raises ``PluginError``, which says what, where and how to go on."""
    if is_file(word):
        return _from_file(Path(word))
    point = known().get(word)
    if point is None:
        raise PluginError(unknown(word))
    try:
        found = point.load()
    except Exception as error:              # foreign code
        raise PluginError(f"plugin {word} ({point.value}): cannot be loaded: {type(error).__name__}: {error}") from error
    return _checked(found, f"plugin {word} ({point.value})")


def unknown(word: str) -> str:
    """What to say about a name no plugin has."""
    names = known()
    close = get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]}?" if close else f"installed: {', '.join(names) or 'none'}; a file is given as ./NAME.py"
    return f"plugin {word}: there is none of that name: {hint}"


def _from_file(path: Path) -> Kind:
    where = f"plugin {path}"
    if not path.is_file():
        raise PluginError(f"{where}: no such file")
    place = sha256(str(path.absolute()).encode()).hexdigest()[:8]
    private = f"_ocpp_proxy_plugin_{re.sub(r'[^0-9A-Za-z]', '_', path.stem)}_{place}"
    spec = importlib.util.spec_from_file_location(private, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{where}: is no Python file: its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, vars(module))            # not by the loader: its cache takes a file changed within a second for the old one
    except Exception as error:              # foreign code
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        raise PluginError(f"{where}{line}: cannot be loaded: {type(error).__name__}: {error}") from error
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == private]
    found = [kind for kind in own if issubclass(kind, Plugin | Observer) and not kind.__name__.startswith("_")]
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise PluginError(f"{where}: has to define one subclass of ocpp_proxy.api.Plugin or Observer, but has {names};"
                          " names that begin with _ do not count")
    return _checked(found[0], where)


def _checked(found: Any, where: str) -> Kind:
    if not isinstance(found, type) or not issubclass(found, Plugin | Observer):
        raise PluginError(f"{where}: is no subclass of ocpp_proxy.api.Plugin or Observer")
    if not issubclass(found.Options, Struct):
        raise PluginError(f"{where}: Options has to be a msgspec.Struct")
    if ON_ERROR in found.Options.__struct_fields__:
        raise PluginError(f"{where}: Options may not name {ON_ERROR}, which every plugin has")
    if issubclass(found, Observer):
        return found
    _check_state(found, where)
    strange = [name for name in vars(found) if name.startswith("on_") and name not in HOOKS]
    if strange:
        close = get_close_matches(strange[0], HOOKS, 1)
        hint = f"did you mean {close[0]}?" if close else "hooks are " + ", ".join(HOOKS)
        raise PluginError(f"{where}: {strange[0]} is no hook: {hint}")
    return found


def _check_state(kind: type[Plugin], where: str) -> None:
    """A State has to be storable, and to exist before anything was kept."""
    if not issubclass(kind.State, Struct):
        raise PluginError(f"{where}: State has to be a msgspec.Struct")
    if type(kind.state_version) is not int or not 0 < kind.state_version < 1 << 31:
        raise PluginError(f"{where}: state_version has to be a whole number from 1 on")
    try:
        msgspec.msgpack.encode(kind.State())
    except Exception as error:              # foreign code
        raise PluginError(f"{where}: State() fails, every field needs a default: {type(error).__name__}: {error}") from error


def configured(word: str, options: Mapping[str, Any]) -> tuple[Installed, frozenset[str]]:
    """A plugin with its options, and the OCPP versions it works with. Raises ``PluginError``, for an observer as well."""
    found = either(word, options)
    if isinstance(found, Watcher):
        raise PluginError(f"plugin {word}: is an observer, which stands in the configuration (`enable`, `[[links]]`)")
    return found


def either(word: str, options: Mapping[str, Any]) -> tuple[Installed, frozenset[str]] | Watcher:
    """A plugin as ``configured``, or an observer with its options, of all links. Raises ``PluginError``."""
    kind, name = load(word), name_of(word)
    values = dict(options)
    if issubclass(kind, Observer):
        key = msgspec.json.encode([word, options], order="deterministic").decode()
        return Watcher(name, kind, _options(kind, name, values), kind.unmasked, key=key)
    on_error = values.pop(ON_ERROR, kind.fails)
    if on_error not in get_args(OnError):
        raise PluginError(f"plugins.{name}.{ON_ERROR}: {on_error!r} is none of {', '.join(get_args(OnError))}")
    return Installed(name, kind, _options(kind, name, values), on_error, matching.matches, conceal=conceal), kind.versions


def _options(kind: Kind, name: str, values: Mapping[str, Any]) -> Any:
    try:
        made = msgspec.convert(values, kind.Options, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise PluginError(f"plugins.{name}: {_reason(str(error), kind)}") from None
    try:
        matching.check(made, f"plugins.{name}")
    except ConfigError as error:
        raise PluginError(str(error)) from None
    return made


def _reason(text: str, kind: Kind) -> str:
    names = kind.Options.__struct_fields__
    found = re.search(r"unknown field `(.*?)`", text)
    if found is None:
        return text.replace("`", "")
    if (inner := re.search(r" - at `\$\.(.*?)`", text)) is not None:
        return f"{inner[1]}.{found[1]}: no such option"
    close = get_close_matches(found[1], names, 1)
    hint = f": did you mean {close[0]}?" if close else f"; it has: {', '.join(names) or 'none'}"
    return f"{found[1]}: no such option{hint}"


def chains(config: Config) -> Callable[[str, str], Chain | None]:
    """Load what the configuration names; gives who chooses the plugins of a link, by identity and subprotocol.

    Those of ``enable`` come first, then those of the first rule of ``links`` that matches. Raises ``PluginError``. Observers
    are none: they are loaded here only to know it.
    """
    words = _words(config)
    judge = Single(Settings(call_seconds=config.call_seconds, severities=config.rules)) if words else unjudged
    found = {word: either(word, config.plugins.get(name_of(word), {})) for word in words}
    loaded = {word: _judged(*one, judge) for word, one in found.items() if not isinstance(one, Watcher)}

    def chain(identity: str, protocol: str) -> Chain | None:
        version = version_of(protocol)
        rule = rule_of(config, identity, version)
        names = dict.fromkeys([*config.enable, *(rule.plugins if rule is not None else ())])
        fitting = [loaded[word] for word in names if word in loaded]
        installed = tuple(one for one, versions in fitting if not versions or version in versions)
        return Chain(installed, version) if installed else None

    return chain


Chosen = tuple[str, Mapping[str, Any]]
"""A plugin, by name or file, and its options."""


def chosen(config: Config, switched: Sequence[Switched], identity: str, version: str) -> dict[str, Chosen]:
    """What a link has, by name and in order: of ``enable``, of its rule, and what a person switched."""
    rule = rule_of(config, identity, version)
    words = [*config.enable, *(rule.plugins if rule is not None else ())]
    wanted: dict[str, Chosen] = {name_of(word): (word, config.plugins.get(name_of(word), {})) for word in words}
    for one in switched:
        name = name_of(one.word)
        if not fnmatchcase(identity, one.identity):
            continue
        if not one.on:
            wanted.pop(name, None)
        elif name not in wanted or one.options is not None:
            wanted[name] = one.word, given(config, one)
    return wanted


def switching(switched: Sequence[Switched], one: Switched) -> list[Switched]:
    """With one more: what it takes the place of is gone. Raises ``ConfigError`` when there are too many."""
    name = name_of(one.word)
    kept = [other for other in switched
            if name_of(other.word) != name or (other.identity != one.identity and one.identity != "*")]
    if len(kept) >= MOST_SWITCHED:
        raise ConfigError(f"{MOST_SWITCHED} plugins are switched already; put that into the configuration and reload it")
    return [*kept, one]


def given(config: Config, switched: Switched) -> Mapping[str, Any]:
    """The options of what was switched on."""
    return switched.options if switched.options is not None else config.plugins.get(name_of(switched.word), {})


def candidates(config: Config, switched: Sequence[Switched]) -> list[Chosen]:
    """All that some link may have."""
    found: list[Chosen] = [(word, config.plugins.get(name_of(word), {})) for word in _words(config)]
    for one in switched:
        if one.on and (one.word, given(config, one)) not in found:
            found.append((one.word, given(config, one)))
    return found


def observers(config: Config, switched: Sequence[Switched] = (), find: "Find | None" = None) -> list[Watcher]:
    """The observers that the configuration names or a person switched on, each with the links it is for.

    Raises ``PluginError``. ``find``: loads one, as ``either``; None: there is no such observer.
    """
    found = [(word, options, (find or either)(word, options)) for word, options in candidates(config, switched)]
    return [
        structs.replace(one, wanted=wanted) for word, options, one in found
        if isinstance(one, Watcher) and (wanted := _wanted(config, switched, (word, options))) is not _nobody]


Find = Callable[[str, Mapping[str, Any]], "tuple[Installed, frozenset[str]] | Watcher | None"]


def _nobody(identity: str, version: str) -> bool:
    return False


def _wanted(config: Config, switched: Sequence[Switched], one: Chosen) -> Callable[[str, str], bool] | None:
    """By identity and version: who has that one. None: everybody."""
    name = name_of(one[0])
    about = [other for other in switched if name_of(other.word) == name]
    if not about and one[0] in config.enable:
        return None
    enabled = next((word for word in config.enable if name_of(word) == name), one[0])
    if one[0] != enabled and all(other.on and other.options is None for other in about):
        return _nobody                      # everybody has it by another path
    if len(about) == 1 and about[0].identity == "*":
        if not about[0].on:
            return _nobody
        if about[0].options is not None or all(word == about[0].word for word in _words(config) if name_of(word) == name):
            return None if one == (about[0].word, given(config, about[0])) else _nobody

    def wanted(identity: str, version: str) -> bool:
        return chosen(config, switched, identity, version).get(name) == one

    return wanted


def stamp_of(word: str) -> tuple[int, ...]:
    """When a plugin's file was changed; empty: it is none."""
    if not is_file(word):
        return ()
    try:
        facts = Path(word).stat()
    except OSError:
        return (0,)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _words(config: Config) -> list[str]:
    """All plugins and observers that are named."""
    return list(dict.fromkeys([*config.enable, *(word for rule in config.links for word in rule.plugins)]))


def _judged(one: Installed, versions: frozenset[str], judge: Judging) -> tuple[Installed, frozenset[str]]:
    return structs.replace(one, judge=judge), versions


def rule_of(config: Config, identity: str, version: str) -> LinkRule | None:
    """The first rule of ``links`` that a link matches."""
    for rule in config.links:
        if fnmatchcase(identity, rule.match.identity) and fnmatchcase(version, rule.match.version):
            return rule
    return None


def describe(word: str) -> Described:
    """What there is to say about a plugin; what cannot be loaded has its ``error``."""
    point = None if is_file(word) else known().get(word)
    package = point.dist.name if point is not None and point.dist is not None else ""
    origin = f"{package}: {point.value}" if point is not None else word
    try:
        kind = load(word)
    except PluginError as error:
        return Described(name_of(word), origin, error=str(error))
    options = tuple(
        f"{field.name}={_shown(field)}" for field in structs.fields(kind.Options)
    )
    hooks = _hooks(kind)
    return Described(name_of(word), origin, kind.version, hooks, options, (inspect.getdoc(kind) or "").split("\n")[0])


def _hooks(kind: Kind) -> tuple[str, ...]:
    if issubclass(kind, Plugin):
        return tuple(name for name in HOOKS if name in hooks_of(kind))
    return tuple(name for name in _SEES if getattr(kind, name) is not getattr(Observer, name))


def _shown(field: structs.FieldInfo) -> str:
    if field.required:
        return "(required)"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return msgspec.json.encode(default).decode()
