"""What the tree of the detail pane is made of: nodes that read their children when they are unfolded, a page at a time."""

from collections.abc import Iterator

from ocpp_proxy.escape import safe_text
from ocpp_proxy.fields import comparison, parse
from ocpp_proxy.fields.parse import NUMBER
from ocpp_proxy.model import ConfigError, Finding
from ocpp_proxy.spec.json_path import Step
from ocpp_proxy.wire import json_spans
from ocpp_proxy.wire.json_spans import Member, Page, Span

PAGE = 200                  # members that are read at once
MOST = 20_000               # nodes of one payload; the rest is told, not shown
VALUE = 2_000               # characters of a value on its row
NAME = 120                  # characters of a name on its row
PREVIEW = 60                # characters of a folded object or array
LOOKED = 1 << 19            # bytes that are read to find the places of findings
UNFOLDED = 1 << 18          # bytes that are read to unfold at first

Piece = tuple[str, str]     # text that may be shown, and its role: name, string, number, word, bad, dim, head, or a severity's
                            # label


class Node:
    """A row. ``marks`` are rows of findings that stand below it, ``children`` those inside it, shown while ``open``."""

    foldable = False
    expression = ""         # of the filter language, for filtering by this row

    def __init__(self, parent: "Node | None" = None) -> None:
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        self.open = False
        self.children: list[Node] = []
        self.marks: list[FindingNode] = []
        self.inside = -1                    # the worst severity of the findings at what is inside

    @property
    def level(self) -> int:
        """The worst severity of the findings at this node; -1: none."""
        return max((mark.finding.severity.value for mark in self.marks), default=-1)

    def mark(self, finding: Finding, elsewhere: bool) -> None:
        """Put a finding below this row."""
        self.marks.append(FindingNode(finding, self, elsewhere))
        above = self.parent
        while above is not None:
            above.inside = max(above.inside, finding.severity.value)
            above = above.parent

    def unmark(self) -> None:
        """Take the findings below this row away."""
        self.marks = []
        above = self.parent
        while above is not None:
            above.inside = -1
            above = above.parent

    def pieces(self) -> list[Piece]:
        """What stands on the row, escaped."""
        return []

    def unfold(self) -> None:
        """Show what is inside."""
        self.open = self.foldable

    def rows(self) -> Iterator["Node"]:
        """This node and what is shown below it, in order."""
        waiting: list[Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if node.open:
                waiting.extend(reversed(node.children))
            waiting.extend(reversed(node.marks))


class TextNode(Node):
    """A row of our own words; ``text`` is escaped already, or ours."""

    def __init__(self, text: str, role: str = "", parent: Node | None = None, expression: str = "") -> None:
        super().__init__(parent)
        self.text, self.role, self.expression = text, role, expression

    def pieces(self) -> list[Piece]:
        """What stands on the row."""
        return [(self.text, self.role)]


class HeadNode(TextNode):
    """The row that a message, frame or handshake begins with."""

    foldable = True

    def __init__(self, text: str, expression: str = "") -> None:
        super().__init__(text, "head", None, expression)
        self.open = True

    def add(self, text: str, role: str = "", expression: str = "") -> None:
        """One more row inside."""
        self.children.append(TextNode(text, role, self, expression))


class FindingNode(Node):
    """The row of a finding. ``elsewhere``: it stands where its path leads as far as there is something."""

    def __init__(self, finding: Finding, parent: Node | None = None, elsewhere: bool = False) -> None:
        super().__init__(parent)
        self.finding, self.elsewhere = finding, elsewhere
        self.expression = compared("rule", finding.code)

    def pieces(self) -> list[Piece]:
        """What stands on the row."""
        return [(told(self.finding, self.elsewhere), self.finding.severity.label)]


def told(finding: Finding, with_path: bool) -> str:
    """A finding in one line: code, severity, whose fault, what, how often, the clause. Escaped."""
    place = f" at {safe_text(finding.path, 200)}" if with_path and finding.path else ""
    times = f" ({finding.count} times)" if finding.count > 1 else ""
    clause = f" [{safe_text(finding.spec_ref, 200)}]" if finding.spec_ref else ""
    head = f"{safe_text(finding.code, 20)} {finding.severity.label}, {finding.blame}: "
    return head + safe_text(finding.message, VALUE) + place + times + clause


class Document:
    """A payload: its text and what it is. ``built``: nodes made so far."""

    def __init__(self, text: bytes, version: str = "", action: str = "", answer: bool = False) -> None:
        self.text, self.version, self.action, self.answer = text, version, action, answer
        self.built = 0


class ValueNode(Node):
    """A value of a payload."""

    def __init__(self, document: Document, member: Member, step: Step | None, parent: Node) -> None:
        super().__init__(parent)
        self.document, self.span, self.name, self.step = document, member.value, member.name, step
        self.again = False                  # the object names this key twice
        self.ahead = False                  # shown behind what was read, for its findings
        self.foldable = member.value.kind in ("object", "array")
        self._page: Page | None = None
        self._members = 0
        self._names: set[str] = set()
        self._pinned: dict[int, ValueNode] = {}     # children with findings that lie behind what was read
        document.built += 1

    @property
    def steps(self) -> tuple[Step, ...]:
        """Where it is in the payload."""
        found: list[Step] = []
        node: Node | None = self
        while isinstance(node, ValueNode) and node.step is not None:
            found.append(node.step)
            node = node.parent
        return tuple(reversed(found))

    @property
    def read(self) -> bool:
        """Whether any members were read."""
        return self._page is not None

    @property
    def complete(self) -> bool:
        """Whether all members were read."""
        return self._page is not None and not (self._page.next or self._page.skip)

    def unfold(self) -> None:
        """Read the first page, if it was not read."""
        super().unfold()
        if self._page is None:
            self.more()

    def more(self, reach: int = json_spans.REACH) -> None:
        """Read one more page of members."""
        if not self.foldable or self.complete or self.document.built >= MOST:
            return
        self._page = json_spans.page(self.document.text, self.span, PAGE, self._page, reach)
        values = [node for node in self.children if isinstance(node, ValueNode) and not node.ahead]
        for member in self._page.members:
            child = self._pinned.pop(self._members, None) or self._child(member, self._members)
            child.ahead = False
            values.append(child)
            self._members += 1
        self._arrange(values)

    def pin(self, member: Member, at: int) -> "ValueNode":
        """The child at this place among the members; made, and shown behind what was read, if it was not read yet."""
        shown = [node for node in self.children if isinstance(node, ValueNode) and not node.ahead]
        if at < len(shown):
            return shown[at]
        child = self._pinned.get(at)
        if child is None:
            child = self._pinned[at] = self._child(member, at)
            child.ahead = True
            self._arrange(shown)
        return child

    def _child(self, member: Member, at: int) -> "ValueNode":
        if self.span.kind == "array":
            return ValueNode(self.document, member, at, self)
        name = json_spans.name_of(member.name)
        child = ValueNode(self.document, member, name, self)
        child.again = name in self._names
        self._names.add(name)
        return child

    def _arrange(self, values: "list[ValueNode]") -> None:
        self.children = [*values]
        if not self.complete:
            self.children.append(MoreNode(self))
        self.children += [self._pinned[at] for at in sorted(self._pinned)]

    def pieces(self) -> list[Piece]:
        """What stands on the row."""
        pieces: list[Piece] = [("payload ", "name")]
        if isinstance(self.step, str):
            pieces = [(safe_text(self.step, NAME), "name"), (": ", "dim")]
        elif self.step is not None:
            pieces = [(f"[{self.step}] ", "dim")]
        pieces += self._value()
        return [*pieces, ("  named twice", "bad")] if self.again else pieces

    def _value(self) -> list[Piece]:
        text, span = self.document.text, self.span
        if not self.foldable:
            return shown(text, span)
        left, right = "{}" if span.kind == "object" else "[]"
        if self._page is None or not self.open:
            end = span.start + PREVIEW if span.end < 0 else span.end
            return [(safe_text(text[span.start : end][: 4 * PREVIEW], PREVIEW), "dim")]
        return [(f"{left}{self._members}{'' if self.complete else '+'}{right}", "dim")]


class MoreNode(Node):
    """Stands for members that were not read yet; unfolding it reads them."""

    def __init__(self, holder: ValueNode) -> None:
        super().__init__(holder)
        self.holder = holder
        self.foldable = holder.document.built < MOST

    def unfold(self) -> None:
        """Read on."""
        self.holder.more()

    def pieces(self) -> list[Piece]:
        """What stands on the row."""
        if self.foldable:
            return [("more: Enter reads on", "dim")]
        return [(f"more than {MOST} values: the rest is in the raw view, or write it to a file", "dim")]


def unfold_some(top: Node, rows: int, deepest: int = 12) -> None:
    """Unfold from the top in reading order until about so many rows are shown."""
    waiting, reach = [top], UNFOLDED
    while waiting and rows > 0 and reach > 0:
        node = waiting.pop()
        if not node.foldable or node.depth > deepest or isinstance(node, MoreNode):
            continue
        if isinstance(node, ValueNode):
            reach -= len(node.document.text) if node.span.end < 0 else node.span.end - node.span.start
        node.unfold()
        rows -= len(node.children)
        waiting.extend(reversed(node.children))


def shown(text: bytes, span: Span) -> list[Piece]:
    """A scalar as it was written; a text with escapes for printable characters with these characters."""
    written = text[span.start : min(span.end, span.start + 4 * VALUE)]
    rest = span.end - span.start - len(written)
    if span.kind == "bad":
        words = "the text ends here" if span.start >= span.end else "not JSON: "
        return [(words, "bad"), (safe_text(written, VALUE), "bad")]
    value = safe_text(_readable(written) if span.kind == "string" and not rest else written, VALUE)
    cut = [(f" ({span.end - span.start} bytes)", "dim")] if rest or len(written) > VALUE else []
    return [(value, span.kind), *cut]


def _readable(written: bytes) -> str | bytes:
    if b"\\" not in written:
        return written
    said = json_spans.name_of(written)
    clear = "\\" not in said and '"' not in said and safe_text(said) == said
    return f'"{said}"' if clear else written


def compared(field: str, value: str) -> str:
    """``field == value``; empty for a text that nobody could read or type."""
    return comparison(field, value) if value and safe_text(value) == value else ""


def column_of(node: Node | None) -> str:
    """The column, or field of a filter, that a value is: ``payload.meterValue[0].timestamp``; empty if there is none."""
    if not isinstance(node, ValueNode) or not node.steps:
        return ""
    if any("." in step or step == "*" for step in node.steps if isinstance(step, str)):
        return ""                           # would be read as another path
    field = "payload" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in node.steps)
    try:
        parse(f"{field} == 1")
    except ConfigError:
        return ""
    return field


def expression_of(node: Node | None) -> str:
    """A filter for rows with what this row says; empty where there is none."""
    if not isinstance(node, ValueNode):
        return node.expression if node else ""
    field, span = column_of(node), node.span
    written = node.document.text[span.start : min(span.end, span.start + VALUE)]
    if not field or node.foldable or span.kind == "bad" or written == b"null" or span.end - span.start > VALUE:
        return ""
    if span.kind == "string":
        text = compared(field, json_spans.name_of(written)) if len(written) > 2 else f'{field} == ""'
    elif span.kind == "word" or NUMBER.fullmatch(written.decode()):
        text = f"{field} == {written.decode()}"
    else:
        return ""                           # a number with more digits than a filter reads
    try:
        parse(text)
    except ConfigError:
        return ""
    return text


def find(top: ValueNode, steps: tuple[Step, ...], budget: int) -> tuple[ValueNode, bool, int]:
    """The node at a path, or the last one on the way to it; whether it is the one; what is left of the bytes to read.

    The nodes on the way are unfolded, but for those that were read before. Of a key named twice the last one read counts, as
    decoders have it.
    """
    node = top
    for step in steps:
        found, budget = _child_at(node, step, budget)
        if found is None:
            return node, False, budget
        if not node.read:
            node.unfold()
        node = node.pin(*found)
    return node, True, budget


def _child_at(node: ValueNode, step: Step, budget: int) -> tuple[tuple[Member, int] | None, int]:
    page: Page | None = None
    at, found = 0, None
    if node.span.kind != ("array" if isinstance(step, int) else "object"):
        return None, budget
    while budget > 0:
        before = page
        page = json_spans.page(node.document.text, node.span, PAGE, before, budget)
        for member in page.members:
            if at == step or (isinstance(step, str) and _is(member.name, step)):
                found = (member, at)
                if isinstance(step, int):
                    return found, budget
            at += 1
        if page.members:
            budget -= max(page.members[-1].value.end, page.next, page.skip) - page.members[0].value.start
        else:
            budget -= json_spans.REACH
        if not (page.next or page.skip):
            break
    return found, budget


def _is(name: bytes, step: str) -> bool:
    """Findings cut long names."""
    said = json_spans.name_of(name)
    return said == step or (step.endswith("…") and len(step) > 40 and said.startswith(step[:-1]))
