"""How the parts of the detail pane look: a style for each role of a piece of text."""

from rich.style import Style

from ocpp_proxy.model import Severity
from ocpp_proxy_tui.look import Look


def styles(look: Look) -> dict[str, Style]:
    """Role -> style."""
    colours = ("cyan", "green", "magenta", "bright_black", "red") if look.ansi else (
        "#56b4e9", "#009e73", "#cc79a7", "#8a8a8a", "#d55e00")
    name, number, word, dim, bad = colours
    return {
        "name": Style(color=name), "number": Style(color=number), "word": Style(color=word), "dim": Style(color=dim),
        "bad": Style(color=bad, bold=True), "head": Style(bold=True), "string": Style(),
        **{severity.label: look.style(severity) for severity in Severity},
    }
