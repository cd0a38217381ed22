"""Makes the reference pages of the documents from the commands, settings and fields themselves.

``python -m ocpp_proxy.cli.reference docs/reference`` writes them; a test compares them, so they cannot drift.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import typer
from ocpp_proxy_tui.app import names

from ocpp_proxy.cli.app import app
from ocpp_proxy.cli.setting_docs import DOCS
from ocpp_proxy.cli.settings import leaves
from ocpp_proxy.core.matching import LATER
from ocpp_proxy.fields import LINES, Vocabulary
from ocpp_proxy.fields.lists import LISTS

MADE = "<!-- made by: python -m ocpp_proxy.cli.reference docs/reference -->"


def cli_page() -> str:
    """Every command with its arguments and options."""
    lines = ["# Commands", "", MADE, "",
             "Exit codes: 0 ok, 1 findings (or a failed check), 2 usage, 3 cannot connect, 4 corrupt input. Data go to stdout,"
             " talk to stderr; colour only on a terminal and without `NO_COLOR`.", "",
             "SOURCE is a capture file or folder, a `.jsonl` trace, or a running proxy (`unix:PATH`, or `HOST:PORT` with its"
             " token in `OCPP_PROXY_TOKEN`). Without it: the running proxy, else the newest capture, named on stderr."]
    group: Any = typer.main.get_command(app)
    for name, command in sorted(_commands(group, "ocpp-proxy")):
        lines += ["", f"## {name}", "", " ".join((command.help or "").split()), "", *_parameters(command)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def _parameters(command: Any) -> Iterator[str]:
    rows = [(_spelling(parameter), parameter.help or "") for parameter in command.params if parameter.name != "help"]
    if rows:
        yield from ("| parameter | |", "|---|---|")
    for spelling, text in rows:
        yield f"| `{_cell(spelling)}` | {_cell(text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"[{parameter.metavar}]" if not parameter.required else str(parameter.metavar)
    return ", ".join(parameter.opts) + (f" {parameter.metavar}" if parameter.metavar else "")


def config_page() -> str:
    """Every setting with its type, default, variable and meaning."""
    lines = ["# Settings", "", MADE, "",
             "A TOML file (`--config FILE` or `OCPP_PROXY_CONFIG`), environment variables and the command line; the later"
             " wins: default, file, variable, command line. `ocpp-proxy config show --origin` says where each value came from,"
             " `config check FILE` finds mistakes, `config schema` is the JSON Schema. Any setting can be given as `run --set"
             " KEY=VALUE`; lists are comma-separated there and in variables. `OCPP_PROXY_RUNTIME` moves the folder of running"
             " instances.", "",
             "| setting | type | default | variable | meaning |", "|---|---|---|---|---|"]
    for leaf in sorted(leaves(), key=lambda leaf: "." in leaf.key):
        default = msgspec.json.encode(leaf.default).decode()
        lines.append(f"| `{leaf.key}` | {_type(leaf.type)} | `{default}` | `{leaf.variable}` | {_cell(DOCS[leaf.key])} |")
    return "\n".join(lines) + "\n"


def _type(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "list of text" if get_args(kind)[0] is str else "list of tables"
    if get_origin(kind) is dict:
        return "table"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[kind]


def fields_page() -> str:
    """The filter language and its fields."""
    later = ", ".join(f"`{name}`" for name in LINES.fields if name in LATER)
    lines = ["# Filter language", "", MADE, "", _LANGUAGE, "", *_field_rows(LINES), ""]
    lines += [_IN_FLIGHT.format(later=later), "", _OTHERS]
    for words in LISTS:
        lines += ["", f"### {words.of.capitalize()}", "", f"`{words.example}`", "", *_field_rows(words)]
    return "\n".join(lines) + "\n"


def _field_rows(words: Vocabulary) -> Iterator[str]:
    yield from ("| field | also | type | meaning |", "|---|---|---|---|")
    for field in words.fields.values():
        kind = ", ".join(f"`{choice}`" for choice in field.choices) or field.type
        yield f"| `{field.name}` | {', '.join(field.aliases)} | {kind} | {_cell(field.doc)} |"


_LANGUAGE = """\
One language for `tail --filter` and every list: `action == "MeterValues" and ms > 500 and severity >= warning`.

| form | meaning |
|---|---|
| `word`, `"two words"` | the text occurs, in either case, in identity, action, message id or the line's text |
| `field == value`, `!=`, `<`, `<=`, `>`, `>=` | comparison; `=` is `==` |
| `field contains text` | the text occurs in it, in either case |
| `field ~ "pattern"` | the regular expression matches somewhere in it; `(?i)` at its start ignores case; no look-around, no \
back-references, so that matching takes linear time whatever a charger sends |
| `field in [a, b]` | it is one of them |
| `and` (`&`), `or` (<code>&#124;</code>), `not` (`!`), `( )` | as usual; two terms side by side are joined by `and` |
| `payload.connectorId == 1` | looks into the payload; `payload.meterValue[0].timestamp`, \
`payload.meterValue[*].sampledValue[*].value > 100`: any of them. A number compares as number (also with \
`"12.5"`), anything else as text |

A comparison with a missing value is false, so `error != ""` means: there is an error code. `not error == "X"` is also true
where there is none. A line can have several findings: `rule == R05` is true when one of them is R05, `rule != R05` when there
are some and none is.

In a list of exchanges a row is a Call with its answer, and a field is the exchange's: `ms` the latency, `severity` the worst
of all its findings, `rule` and `blame` those of all, `verdict` those of both, `error` the answer's, `size` all payloads
together, `tx` the Call's or else the answer's, `outcome` what became of it, `kind` is `message`; `identity`, `side`, `time`,
`message_id`, `evse`, `connector`, `token` are the Call's. `action` is the Call's, and behind a bridge also that of the Calls it
was translated into: `action == TransactionEvent` finds a StartTransaction for a CSMS of 2.0.1, too. `mtype`, `text`, `payload`,
`payload.<path>` and bare words hold when they hold for the Call or an answer to it: `mtype == CALLERROR` finds the
exchanges that failed so, `not payload contains x` those without x in any of their messages. All other rows, and every row
of a list of frames, are asked as the lines they are."""

_IN_FLIGHT = """\
## Messages in flight

Breakpoints (`intercept`) and plugins (options like `where`) ask a message before it goes on. What is known of it only later is
refused there: {later}. All else means what it means of the recorded line; `kind` is always `message`."""

_OTHERS = """\
## Other lists

`chargers`, `findings` and `tx` take `--filter` too, and so does every screen of the terminal UI: `/` filters the list that is
seen. The language is the same, with the names below; a bare word is looked for in all their texts. On the screen a filter of
findings narrows the rules, and the findings of the rule under the cursor. A result of a query has its columns for names:
numbers where every value is one, else texts (`AS name` gives a column a name that can be written)."""

def keys_page() -> str:
    """Every key of the terminal UI."""
    lines = ["# Keys of the terminal UI", "", MADE, "",
             "`tui.toml` in the configuration folder (`~/.config/ocpp-proxy/`) gives an action other keys:", "",
             "```toml", "[keys]", '"traffic.follow" = "space,p"', "```", "", "| action | keys | |", "|---|---|---|"]
    for name, binding in names().items():
        shown = ", ".join(f"`{_KEYS.get(key, key)}`" for key in binding.key.split(","))
        lines.append(f"| `{name}` | {_cell(shown)} | {_cell(binding.description)} |")
    return "\n".join(lines) + "\n"


_KEYS = {"slash": "/", "question_mark": "?", "colon": ":", "equals_sign": "=", "minus": "-", "backslash": "\\",
         "left_square_bracket": "[", "right_square_bracket": "]"}

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page, "config.md": config_page, "fields.md": fields_page, "keys.md": keys_page,
}


def main(folder: str) -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (Path(folder) / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
