"""What the user set for the terminal UI: one TOML file, read at start; what the screen saves goes to another.

``tui.toml`` in the configuration folder is the user's (keys, theme, speed); ``tui-view.toml`` in the state folder is written by
the application (columns, layout). Unknown keys are told with their line.
"""

import os
import re
from difflib import get_close_matches
from pathlib import Path

import msgspec
import tomlkit
from msgspec import Struct, field

from ocpp_proxy.model import ConfigError


class Settings(Struct, forbid_unknown_fields=True):
    """Settings of the terminal UI. ``hz``: repaints a second at most (0: 10, over SSH 5). ``rows``: kept in memory when live.
    ``read_only``: nothing that acts on traffic.

    ``keys`` maps an action (``traffic.follow``; the help lists them) to keys, comma between several.
    """

    hz: float = 0.0
    rows: int = 200_000
    theme: str = "ocpp"
    ascii: bool = False
    follow: bool = True
    read_only: bool = False
    columns: list[str] = field(default_factory=list)    # of the traffic list, in order; empty: by width
    detail: str = "tree"
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def repaints(self) -> float:
        """Repaints a second."""
        return self.hz or (5.0 if os.environ.get("SSH_CONNECTION") else 10.0)


def config_file() -> Path:
    """The user's file; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "ocpp-proxy" / "tui.toml"


def load(path: Path | None, view: Path) -> Settings:
    """The user's settings over those of the last view. Raises ``ConfigError`` for the user's file only."""
    try:
        saved = _read(view) if view.exists() else {}
        base = msgspec.convert(saved, Settings)
    except (ConfigError, msgspec.ValidationError):      # damaged, or of another version: the view starts anew
        saved, base = {}, Settings()
    file = path or config_file()
    if not file.exists():
        if path is not None:
            raise ConfigError(f"{path}: there is no such file")
        return base
    given = _read(file)
    try:
        settings = msgspec.convert({**saved, **given}, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_told(file, str(error))) from error
    if not 0 <= settings.hz <= 60 or not 1_000 <= settings.rows <= 5_000_000:
        key = "hz" if not 0 <= settings.hz <= 60 else "rows"
        raise ConfigError(f"{file}:{_line(file, key)}:{key}: hz is 0 to 60, rows is 1000 to 5000000")
    return settings


def save_view(view: Path, settings: Settings) -> None:
    """Keep columns and layout for the next time. A folder that cannot be written is no reason to fail."""
    try:
        view.parent.mkdir(parents=True, exist_ok=True)
        view.write_text(tomlkit.dumps({"columns": settings.columns, "detail": settings.detail, "follow": settings.follow}))
    except OSError:
        pass


def _read(file: Path) -> dict[str, object]:
    try:
        return dict(tomlkit.parse(file.read_text()).unwrap())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _told(file: Path, error: str) -> str:
    """An error of msgspec with the line, and the nearest known name."""
    unknown = re.search(r"unknown field `([^`]*)`", error)
    name = unknown[1] if unknown else (re.search(r"\$\.(\w+)", error) or ["", ""])[1]
    near = get_close_matches(name, Settings.__struct_fields__, 1) if unknown else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{file}:{_line(file, name)}:{name}: {error.split(' - at')[0]}{hint}"


def _line(file: Path, key: str) -> int:
    lines = file.read_text().splitlines()
    return next((at for at, line in enumerate(lines, 1) if re.match(rf"\s*\[?\s*{re.escape(key)}\b", line)), 1)
