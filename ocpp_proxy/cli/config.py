"""``ocpp-proxy config``: show the merged settings with their origin, check a file, print the JSON Schema."""

from typing import Annotated

import typer

from ocpp_proxy.cli.options import CONFIG, JSON, arg, opt


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="Show, check and describe the settings.", rich_markup_mode=None, no_args_is_help=True)
    group.command()(show)
    group.command()(check)
    group.command()(schema)
    app.add_typer(group, name="config")


def show(
    config: CONFIG = None,
    origin: Annotated[bool, opt("--origin", None, "Say where each value came from.")] = False,
    json: JSON = False,
) -> None:
    """Print all settings as TOML: default < file < OCPP_PROXY_* < command line."""
    from ocpp_proxy.cli import settings
    from ocpp_proxy.cli.printing import ascii_json, talk

    merged = settings.load(config, settings.environment(), {})
    for warning in merged.warnings:
        talk(warning)
    section = ""
    for leaf in sorted(settings.leaves(), key=lambda leaf: "." in leaf.key):
        source = merged.origins.get(leaf.key, settings.DEFAULT)
        value = settings.value_of(merged.config, leaf.key)
        if json:
            print(ascii_json({"key": leaf.key, "value": value, "origin": source, "variable": leaf.variable}))
            continue
        before, _, name = leaf.key.rpartition(".")
        if before != section:
            section = before
            print(f"\n[{section}]")
        print(f"{name} = {_toml(value)}" + (f"    # {source}" if origin else ""))


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    import msgspec

    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(word)}" for key, word in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, msgspec.Struct):
        return _toml(msgspec.structs.asdict(value))
    return msgspec.json.encode(value).decode()


def check(
    file: Annotated[str | None, arg("FILE", "TOML file with settings.")] = None,
    config: CONFIG = None,
) -> None:
    """Check a file and the environment: mistakes as file:line: key, with the nearest known key. Exit code 2."""
    from ocpp_proxy.cli import settings
    from ocpp_proxy.cli.printing import talk
    from ocpp_proxy.cli.verify import verify

    merged = settings.load(file or config, settings.environment(), {})
    for warning in merged.warnings:
        talk(warning)
    verify(merged, need_upstream=False)
    given = sum(origin != settings.DEFAULT for origin in merged.origins.values())
    print(f"ok: {given} settings given, the others are defaults")


def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    import msgspec

    from ocpp_proxy.config import Config

    print(msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Config)), indent=2).decode())
