"""What panes ask of the application. Posted by any widget; ``app`` answers."""

from textual.message import Message

from ocpp_proxy.model import Finding


class Jump(Message):
    """Show a message or frame in Traffic, whatever filter or scope is on. One of the three numbers suffices."""

    def __init__(self, msg_no: int = 0, frame_id: int = 0, number: int = 0) -> None:
        super().__init__()
        self.msg_no, self.frame_id, self.number = msg_no, frame_id, number


class ScopeTo(Message):
    """Limit every screen to one charger (empty: to all); ``screen``: name of the pane to go to, empty: stay."""

    def __init__(self, identity: str, screen: str = "") -> None:
        super().__init__()
        self.identity, self.screen = identity, screen


class Narrow(Message):
    """Put an expression of the filter language into the filter line: and-ed to what stands there, or instead of it.

    ``screen``: the pane whose filter it is, which is then shown; empty: that of the visible one."""

    def __init__(self, expression: str, instead: bool = False, screen: str = "") -> None:
        super().__init__()
        self.expression, self.instead, self.screen = expression, instead, screen


class Renamed(Message):
    """A list has other columns than before: the filter line is to know their names."""


class Copy(Message):
    """Put text on the clipboard of the user's terminal (OSC 52); ``what`` names it in the note."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text, self.what = text, what


class Mend(Message):
    """Apply the quirk profiles that make a finding go away, to its charger; asked for once more."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding
