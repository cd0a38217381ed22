"""The expression tree of a filter: plain structs that travel as JSON and that captures turn into SQL."""

from typing import Literal

from msgspec import Struct

Op = Literal["==", "!=", "<", "<=", ">", ">=", "~", "contains", "in"]
Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]


class Word(Struct, frozen=True, tag="word"):
    """A bare word: a substring, in either case, of identity, action, message_id or the line's text."""

    text: str


class Compare(Struct, frozen=True, tag="compare"):
    """One comparison. ``field`` is a name of ``FIELDS`` or ``payload.<path>``; a missing value makes it false.

    ``value`` is ready to compare: severity 0..4, time in ns since the epoch, mtype 2..6, a tuple for ``in``, a pattern
    for ``~``. For ``payload.<path>`` a number compares as number, anything else as the JSON value's text.
    """

    field: str
    op: Op
    value: Value


class And(Struct, frozen=True, tag="and"):
    """All of them; none: true."""

    items: tuple["Node", ...]


class Or(Struct, frozen=True, tag="or"):
    """At least one of them."""

    items: tuple["Node", ...]


class Not(Struct, frozen=True, tag="not"):
    """The opposite: so also true where the value is missing."""

    item: "Node"


Node = Word | Compare | And | Or | Not


class Filter(Struct, frozen=True):
    """A parsed filter, with the text it came from."""

    text: str
    root: Node
