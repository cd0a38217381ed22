"""The filter language: names of fields, the expression tree, the parser, the predicate. SQL is made in captures.

``parse(text)`` gives a ``Filter``; ``compile(filter, links)`` gives a function ``Line -> bool``. The same tree is sent
over the control API and translated to SQL, so live lines and stored rows answer alike. The grammar is in ``parse``.
Other lists (chargers, findings, transactions, log, results) have their names in ``lists`` and the same language.
"""

from ocpp_proxy.fields.compose import comparison, joined, of_charger, quoted
from ocpp_proxy.fields.parse import parse
from ocpp_proxy.fields.predicate import compile
from ocpp_proxy.fields.registry import FIELDS, LINES, Field, Links, Vocabulary, kind_of, text_of
from ocpp_proxy.fields.tree import And, Compare, Filter, Node, Not, Op, Or, Value, Word

__all__ = [
    "FIELDS", "LINES", "And", "Compare", "Field", "Filter", "Links", "Node", "Not", "Op", "Or", "Value", "Vocabulary", "Word",
    "comparison", "compile", "joined", "kind_of", "of_charger", "parse", "quoted", "text_of",
]
