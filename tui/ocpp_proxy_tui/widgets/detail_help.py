"""What is told about the row under the cursor: a finding in full, or what the schema says of a field."""

import re

from rich.style import Style
from rich.text import Text

from ocpp_proxy.checks import REGISTRY
from ocpp_proxy.escape import safe_text
from ocpp_proxy.spec.field_help import FieldHelp, field_help
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.detail_nodes import FindingNode, Node, ValueNode, told

DEEPEST = 60                # levels; no schema has as many
_BLANKS = re.compile(r"\s+")
_URN = re.compile(r"^(?:[\w ]+\. )*[\w ]+\n?urn:x-oca:\S+\s*", re.MULTILINE)   # names of the UML model before some descriptions


def help_of(node: Node | None, look: Look) -> Text:
    """In a few sentences; empty where nothing is known."""
    if isinstance(node, FindingNode):
        level = node.finding.severity.value
        words = Text(look.plain(f"{look.mark(level)} {told(node.finding, True)}"), look.style(level))
        rule = REGISTRY.rules.get(node.finding.code)
        if rule is not None:
            words.append(look.plain(f"\n{rule.means} To do: {rule.remedy}"), Style(bold=False, color="default"))
        return words
    if not isinstance(node, ValueNode) or not node.document.version or node.depth > DEEPEST:
        return Text("")
    document = node.document
    found = field_help(document.version, document.action, document.answer, node.steps)
    if found is None:
        name = f"OCPP {document.version} {safe_text(document.action, 60)}"
        return Text(look.plain(f"not a field of {name}") if node.steps else "", "italic")
    return Text(look.plain(sentence(found)))


def sentence(known: FieldHelp) -> str:
    """``string, required, at most 20 characters. What it is for.``"""
    parts = [" ".join(part for part in (known.type, known.type_name and f"({known.type_name})", known.format) if part)]
    if known.required is not None:
        parts.append("required" if known.required else "optional")
    if known.max_length is not None:
        parts.append(f"at most {known.max_length} characters")
    for least, most, what in ((known.least_items, known.most_items, " items"), (known.least, known.most, "")):
        parts += [f"at least {least:g}{what}"] if least is not None else []
        parts += [f"at most {most:g}{what}"] if most is not None else []
    if known.multiple_of is not None:
        parts.append(f"a multiple of {known.multiple_of:g}")
    if known.default:
        parts.append(f"default {known.default}")
    told = ", ".join(part for part in parts if part)
    if known.enum:
        told += f"; one of: {', '.join(known.enum)}"
    described = _BLANKS.sub(" ", _URN.sub("", known.description)).strip()
    return f"{told}. {described}" if described else told
