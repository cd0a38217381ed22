"""Lines to type into. What comes from a peer may stand in them (an identity, a note), and is not to act on the terminal."""

import unicodedata

from rich.highlighter import Highlighter
from rich.text import Text
from textual.widgets import Input

from ocpp_proxy.escape import safe_text


class TypedLine(Input):
    """An ``Input`` that shows ``?`` for each character that is not to reach the terminal as it is. Its value keeps them."""

    def __init__(
        self, value: str = "", *, placeholder: str = "", select_on_focus: bool = True, id: str | None = None,
    ) -> None:
        super().__init__(value, placeholder=placeholder, select_on_focus=select_on_focus, highlighter=_Veiled(), id=id)


class _Veiled(Highlighter):
    """Not a colour but other characters, as many as there were."""

    def __call__(self, text: str | Text) -> Text:
        """The text without what acts."""
        plain = str(text)
        shown = plain if safe_text(plain) == plain else "".join(map(_veiled, plain))
        return Text(shown, no_wrap=True, overflow="ignore", end="")

    def highlight(self, text: Text) -> None:
        """There are no colours to set."""


def _veiled(char: str) -> str:
    return char if safe_text(char) == char and not unicodedata.combining(char) else "?"
