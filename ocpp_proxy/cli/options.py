"""How options are declared, and those that several commands share."""

from typing import Annotated, Any

import typer


def opt(name: str, metavar: str | None, text: str, *more: str, **settings: Any) -> Any:
    """A typer option: its name, what stands for its value in the help (None: a switch), its help."""
    return typer.Option(name, *more, metavar=metavar, help=text, show_default=False, **settings)


def arg(metavar: str, text: str) -> Any:
    """A typer argument."""
    return typer.Argument(metavar=metavar, help=text, show_default=False)


Texts = list[str] | None
SOURCE = Annotated[str | None, arg(
    "SOURCE",
    "Capture file or folder, JSONL trace, unix:PATH, HOST:PORT; default: the running proxy, else the newest capture.",
)]
CONFIG = Annotated[str | None, opt("--config", "FILE", "TOML file with settings.")]
JSON = Annotated[bool, opt("--json", None, "JSON lines instead of text.")]
