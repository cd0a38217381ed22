"""Conditions of SQL that know how far they can be trusted: ``may`` never lets too little through, ``sure`` never too much.

What ``may`` lets through and ``sure`` does not is looked at again by the filter's own predicate.
"""

from collections.abc import Sequence

from msgspec import Struct

Parameter = str | int | float | bool


class Sql(Struct, frozen=True):
    """The text of a condition, never NULL, and its parameters in their order."""

    text: str
    parameters: tuple[Parameter, ...] = ()


class Condition(Struct, frozen=True):
    """A condition from both sides. Where they are the same it is exact."""

    may: Sql
    sure: Sql

    @property
    def exact(self) -> bool:
        """Whether SQL alone decides."""
        return self.may == self.sure


def exactly(text: str, *parameters: Parameter) -> Condition:
    """SQL alone decides."""
    sql = Sql(text, parameters)
    return Condition(sql, sql)


ALWAYS, NEVER = exactly("true"), exactly("false")
EVERYTHING = Condition(ALWAYS.may, NEVER.may)           # nothing is known


def perhaps(text: str, *parameters: Parameter, sure: str = "") -> Condition:
    """All that passes is among these; those that are ``sure`` besides pass. The parameters are those of ``text``."""
    may = Sql(text, parameters)
    return Condition(may, Sql(f"({text} AND {sure})", parameters) if sure else NEVER.may)


def negated(one: Condition) -> Condition:
    """The opposite."""
    return Condition(*(Sql(f"(NOT {sql.text})", sql.parameters) for sql in (one.sure, one.may)))


def every(parts: Sequence[Condition]) -> Condition:
    """All of them."""
    return _joined(parts, " AND ", ALWAYS)


def some(parts: Sequence[Condition]) -> Condition:
    """At least one of them."""
    return _joined(parts, " OR ", NEVER)


def _joined(parts: Sequence[Condition], word: str, empty: Condition) -> Condition:
    if len(parts) < 2:
        return parts[0] if parts else empty
    return Condition(*(
        Sql("(" + word.join(sql.text for sql in side) + ")", tuple(p for sql in side for p in sql.parameters))
        for side in ([part.may for part in parts], [part.sure for part in parts])))
