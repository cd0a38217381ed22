"""The user's editor on a text: ``$VISUAL``, ``$EDITOR``, else what is there."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from ocpp_proxy.model import ConfigError

USUAL = ("sensible-editor", "nano", "vi")


def edited(text: str) -> str | None:
    """The text as it was saved; None when the editor failed. Blocks, and needs the terminal. Raises ``ConfigError``."""
    command = _command()
    with tempfile.TemporaryDirectory(prefix="ocpp-proxy-") as folder:       # 0700: nobody else reads along
        file = Path(folder) / "payload.json"
        file.write_text(text, "utf-8")
        try:
            done = subprocess.run([*command, str(file)], check=False)
        except OSError as error:
            raise ConfigError(f"{command[0]}: cannot be started ({error.strerror}); set EDITOR") from error
        try:
            return file.read_text("utf-8") if done.returncode == 0 else None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"what {command[0]} saved cannot be read: {error}") from error


def _command() -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        text = os.environ.get(name, "")
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ConfigError(f"{name}={text}: {error}") from error
        if words:
            return words
    found = next(filter(None, map(shutil.which, USUAL)), None)
    if found is None:
        raise ConfigError("there is no editor: set EDITOR")
    return [found]
