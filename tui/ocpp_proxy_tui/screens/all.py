"""The screens in the order of their keys, and every class that binds keys."""

from textual.dom import DOMNode

from ocpp_proxy_tui.screens.log import Log
from ocpp_proxy_tui.screens.pane import Pane

PANES: tuple[type[Pane], ...] = (Log,)
BOUND: tuple[type[DOMNode], ...] = (Log,)
