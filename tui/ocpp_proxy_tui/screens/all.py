"""The screens in the order of their keys, and every class that binds keys."""

from textual.dom import DOMNode

from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.chargers import Chargers
from ocpp_proxy_tui.screens.findings import Findings
from ocpp_proxy_tui.screens.log import Log, LogLines
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.screens.query import Query
from ocpp_proxy_tui.screens.transactions import Transactions
from ocpp_proxy_tui.widgets.table_view import TableView

PANES: tuple[type[Pane], ...] = (Chargers, Findings, Transactions, Query, Log)
BOUND: tuple[type[DOMNode], ...] = (*PANES, TableView, LogLines, AskText)
