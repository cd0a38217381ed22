"""A row of the traffic list as the detail pane shows it: heads with their facts, payloads, texts and wire bytes."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from ocpp_proxy import records
from ocpp_proxy.fields.registry import findings_of
from ocpp_proxy.model import Finding, Frame, Link, Message
from ocpp_proxy.records import Line
from ocpp_proxy.source import Bookmark
from ocpp_proxy.spec.json_path import steps, written
from ocpp_proxy.spec.versions import version_of
from ocpp_proxy.wire import json_spans, ocppj
from ocpp_proxy.wire.json_spans import Member
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets import detail_facts as facts
from ocpp_proxy_tui.widgets.detail_nodes import (
    LOOKED,
    Document,
    FindingNode,
    HeadNode,
    Node,
    ValueNode,
    find,
    unfold_some,
)

CHANGED = {"replaced": "did not leave as it came", "held": "was held by the proxy",
           "dropped": "was dropped: nothing left for it", "answered": "was answered by the proxy: nothing left for it",
           "translated": "was made from what the other side said"}
UNFOLDED = 250              # rows that are shown unfolded at first
FINDINGS = 200              # findings of one row that are shown


class Text(Struct):
    """A text for the raw view. ``json``: it can be shown pretty. ``error``/``error_at``: what is wrong with it, and the
    character where (-1: nothing is known)."""

    head: str
    text: bytes
    json: bool = True
    error: str = ""
    error_at: int = -1


class Wire(Struct):
    """A frame for the hex view; ``frame`` None: the source has no bytes of it."""

    head: str
    frame: Frame | None


class Shown(Struct):
    """All that is known of one row."""

    nodes: list[Node] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    findings: list[FindingNode] = field(default_factory=list)       # in the order they are shown
    tops: dict[int, ValueNode] = field(default_factory=dict)        # the payloads, by msg_no
    changed: list[tuple[str, Frame]] = field(default_factory=list)  # messages that did not leave as they came: head, last frame

    def give(self, message: Message) -> ValueNode | None:
        """The payload of a message for the same row shown again: what was read and folded stays so."""
        top = self.tops.get(message.msg_no)
        return top if top is not None and top.document.text == message.payload else None


class _Part(Struct):
    """One line: its head, its payload if it has one, the findings on it."""

    head: HeadNode
    findings: list[Finding]
    msg_no: int | None = None
    top: ValueNode | None = None


def show(lines: Sequence[Line], links: Mapping[int, Link], marks: Mapping[int, Bookmark], look: Look,
         before: Shown | None = None) -> Shown:
    """Make it of the lines of a row; ``before``: how the same row was shown with fewer lines."""
    made = Shown()
    if before is not None:
        made.tops = before.tops
        for mark in before.findings:
            if mark.parent is not None:
                mark.parent.unmark()
    parts: list[_Part] = []
    loose: list[Finding] = []               # of lines that are nothing but a finding
    for line in lines:
        if isinstance(line.record, records.Found):
            loose += findings_of(line)
        else:
            parts.append(_part(line, links, marks, look, made))
    _place(parts, loose, made)
    made.nodes += [part.head for part in parts] or [facts.of_finding(finding) for finding in loose]
    made.findings = [node for top in made.nodes for node in _all_marks(top)]
    return made


def _part(
    line: Line, links: Mapping[int, Link], marks: Mapping[int, Bookmark], look: Look, made: Shown,
) -> _Part:
    findings = list(findings_of(line))
    match line.record:
        case records.MessageSeen(message):
            return _message(message, line.frame, findings, links, marks, look, made)
        case records.FrameSeen(frame):
            head = facts.of_frame(frame, look)
            made.wires.append(Wire(head.text, frame))
            if frame.payload or frame.header:
                http = frame.opcode.value.startswith("http")
                body = frame.header + frame.payload if http else frame.payload
                made.texts.append(Text(head.text, frame.raw or frame.text or body, not http))
            return _Part(head, findings)
        case _:
            return _Part(facts.of_event(line.record, links, look), findings)


def _message(
    message: Message, frame: Frame | None, findings: list[Finding], links: Mapping[int, Link], marks: Mapping[int, Bookmark],
    look: Look, made: Shown,
) -> _Part:
    head = facts.of_message(message, frame, look)
    mark = marks.get(message.msg_no)
    if mark is not None:
        facts.add_bookmark(head, mark)
    text = ocppj.rebuild(
        message.mtype, message.message_id, message.action, message.payload, message.prefix, message.suffix,
        message.error_code, message.error_desc)
    raw = Text(head.text, text)
    if not message.mtype:
        envelope = ocppj.decode(text)
        raw.error, raw.error_at = envelope.error, envelope.error_at
        facts.add_decode_error(head, envelope)
    made.texts.append(raw)
    made.wires.append(Wire(head.text, frame))
    if frame is not None and frame.verdict in CHANGED and (frame.verdict != "translated" or frame.cause):
        made.changed.append((head.text, frame))
        head.add(f"{CHANGED[frame.verdict]}; o shows both side by side", "name")
    top = made.give(message) or _payload(message, links, head)
    top.parent, made.tops[message.msg_no] = head, top
    head.children.append(top)
    return _Part(head, findings, message.msg_no, top)


def _payload(message: Message, links: Mapping[int, Link], head: HeadNode) -> ValueNode:
    link = links.get(message.link_id)
    version = version_of(message.protocol or (link.protocol if link else ""))
    document = Document(message.payload, version, message.action, message.mtype == 3)
    if message.mtype not in (2, 3, 6):
        document.version = ""               # errorDetails and what could not be read have no schema
    top = ValueNode(document, Member(b"", json_spans.root(message.payload)), None, head)
    unfold_some(top, UNFOLDED)
    return top


def _place(parts: list[_Part], loose: list[Finding], made: Shown) -> None:
    """Put every finding where its path leads; those without a path, or with one that leads nowhere, on top."""
    budget = LOOKED
    owners: list[tuple[_Part | None, Finding]] = [(part, finding) for part in parts for finding in part.findings]
    owners += [(_owner(parts, finding), finding) for finding in loose]
    for part, finding in owners[:FINDINGS]:
        path = steps(finding.path)
        top = part.top if part else None
        if part is not None and finding.msg_no is not None and part.msg_no != finding.msg_no:
            other = _owner(parts, finding)
            top = other.top if other and other.msg_no == finding.msg_no else top
        if path is None or top is None or budget <= 0:
            made.nodes.append(FindingNode(finding, None, bool(finding.path)))
            continue
        node, there, budget = find(top, path, budget)
        node.mark(finding, not there)
    made.nodes.sort(key=lambda node: -node.finding.severity.value if isinstance(node, FindingNode) else 0)


def _owner(parts: list[_Part], finding: Finding) -> _Part | None:
    return next((part for part in parts if part.msg_no == finding.msg_no), parts[0] if parts else None)


def _all_marks(top: Node) -> list[FindingNode]:
    """The findings below a node in the order they are shown when everything is unfolded."""
    if isinstance(top, FindingNode):
        return [top]
    found: list[FindingNode] = []
    waiting: list[Node] = [top]
    while waiting:
        node = waiting.pop()
        found += node.marks
        waiting.extend(reversed(node.children))
    return found


def path_of(node: Node | None) -> str:
    """The JSON path of a row in the tree; empty where it is of no payload."""
    if isinstance(node, FindingNode):
        return node.finding.path
    return written(node.steps) if isinstance(node, ValueNode) else ""
