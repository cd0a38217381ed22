"""What every screen stands on: the source, the feed of live lines, the links, how things look, what is chosen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ocpp_proxy.fields import Filter, of_charger
from ocpp_proxy.model import Link
from ocpp_proxy.source import Acting, Bookmark, Source, Table
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.precedence import Precedence
from ocpp_proxy_tui.settings import Settings


@dataclass(frozen=True)
class Scope:
    """What all screens are limited to: one charger (``identity``, empty: all) and a filter of the filter language."""

    identity: str = ""
    where: Filter | None = None

    def filter(self) -> Filter | None:
        """Both as one filter; None: everything passes."""
        return of_charger(self.identity, self.where)


Render = Callable[[Table, str], Iterable[str]]


@dataclass
class Ground:
    """Shared by the whole application; made once by ``app``.

    ``render`` writes a table as the command line does: its lines, escaped, as ``text``, ``json``, ``csv`` or ``md``.
    ``acting``: the source as what can be acted on, None where one may only look.
    """

    source: Source
    settings: Settings
    look: Look
    render: Render
    links: dict[int, Link] = field(default_factory=dict)
    bookmarks: dict[int, Bookmark] = field(default_factory=dict)    # by msg_no
    scope: Scope = field(default_factory=Scope)
    acting: Acting | None = None
    precedence: Precedence = field(default_factory=Precedence)
