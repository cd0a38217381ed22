"""The screens in the order of their keys (the last only where one may act), and every class that binds keys."""

from textual.dom import DOMNode

from ocpp_proxy_tui.screens.ask_sure import AskSure
from ocpp_proxy_tui.screens.ask_text import AskText
from ocpp_proxy_tui.screens.chargers import Chargers
from ocpp_proxy_tui.screens.choose_columns import ChooseColumns
from ocpp_proxy_tui.screens.choose_command import ChooseCommand
from ocpp_proxy_tui.screens.command_form import CommandForm
from ocpp_proxy_tui.screens.findings import Findings
from ocpp_proxy_tui.screens.held import HeldMessages
from ocpp_proxy_tui.screens.log import Log, LogLines
from ocpp_proxy_tui.screens.pane import Pane
from ocpp_proxy_tui.screens.query import Query
from ocpp_proxy_tui.screens.traffic import Traffic
from ocpp_proxy_tui.screens.transactions import Transactions
from ocpp_proxy_tui.widgets.detail import Detail
from ocpp_proxy_tui.widgets.detail_lines import Lines
from ocpp_proxy_tui.widgets.detail_tree import DetailTree
from ocpp_proxy_tui.widgets.table_view import TableView
from ocpp_proxy_tui.widgets.traffic_list import TrafficList

PANES: tuple[type[Pane], ...] = (Traffic, Chargers, Findings, Transactions, Query, Log, HeldMessages)
BOUND: tuple[type[DOMNode], ...] = (
    Traffic, TrafficList, ChooseColumns, Detail, DetailTree, Lines, *PANES[1:], TableView, LogLines, AskText, AskSure,
    ChooseCommand, CommandForm,
)
