"""The control API as an OpenAPI 3.1 document, made from the structs it speaks. A test compares it with the router."""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from ocpp_proxy import __version__
from ocpp_proxy.hub.act_routes import Disconnect, Inject, Said, SetIntercept, Settle, Switch
from ocpp_proxy.hub.answers import Which
from ocpp_proxy.hub.bodies import Ask
from ocpp_proxy.hub.sinks import Batch
from ocpp_proxy.model import Link
from ocpp_proxy.records import Line, Record, Row
from ocpp_proxy.source import (
    Bookmark,
    Charger,
    Charging,
    FindingGroup,
    FoundAt,
    Held,
    Injected,
    Intercept,
    LogLine,
    PluginState,
    Sample,
    Table,
)
from ocpp_proxy.wire.command import OpenLink

NDJSON, BYTES, TEXT, JSON = "application/x-ndjson", "application/octet-stream", "text/plain", "application/json"
_REF = "#/components/schemas/{name}"


class Error(Struct):
    """Every refusal."""

    error: str


class Health(Struct):
    """The body of ``/healthz``; and the recorder's queue lengths, as numbers."""

    status: str
    problems: list[str]
    version: str = ""
    listen: list[str] = []
    upstream: str = ""
    capture: str = ""
    stored: bool = False
    may_act: bool = False


class Number(Struct):
    """An ordinal; 0: there is none."""

    number: int


class Route(Struct, frozen=True):
    """``query``: parameters, the whole numbers with a ``#`` before them. ``acts``: it changes something."""

    method: str
    path: str
    about: str
    answer: Any
    query: str = ""
    body: Any = None
    media: str = JSON
    acts: bool = False


ROUTES = (
    Route("get", "/healthz", "Whether all is well; 503 when not.", Health),
    Route("get", "/metrics", "Prometheus text.", str, media=TEXT),
    Route("get", "/v1/openapi.json", "This document.", dict[str, Any]),
    Route("get", "/v1/links", "Connections, oldest first.", list[Link]),
    Route("get", "/v1/lines", "Lines that pass the filter.", list[Line], "filter #after #limit"),
    Route("get", "/v1/follow", "Batches of lines as they come, one a line.", Batch, "filter #last", media=NDJSON),
    Route("get", "/v1/records", "The stored stream, a list of records a line.", list[Record], media=NDJSON),
    Route("get", "/v1/numbers", "Numbers of all rows that pass: 8 bytes each, little-endian.", bytes,
          "view filter #after #before_message", media=BYTES),
    Route("get", "/v1/rows", "Rows by number (with commas between them).", list[Row], "view numbers"),
    Route("post", "/v1/rows", "Rows by number.", list[Row], body=Which),
    Route("get", "/v1/row_lines", "The lines of one row with their frames.", list[Line], "view #number"),
    Route("get", "/v1/number_of", "The row that shows a message or a frame.", Number, "view #msg_no #frame_id"),
    Route("get", "/v1/chargers", "All chargers.", list[Charger]),
    Route("get", "/v1/finding_groups", "Findings by rule.", list[FindingGroup], "identity"),
    Route("get", "/v1/findings", "Single findings, newest first.", list[FoundAt], "code identity #limit"),
    Route("get", "/v1/transactions", "Charging transactions, newest first.", list[Charging], "identity #limit"),
    Route("post", "/v1/curve", "Meter values and limits of a transaction.", list[Sample], body=Charging),
    Route("get", "/v1/bookmarks", "Bookmarks in the capture.", list[Bookmark]),
    Route("post", "/v1/bookmarks", "Keep a bookmark, or take it away.", dict[str, str], body=Bookmark, acts=True),
    Route("get", "/v1/log", "What the proxy itself said.", list[LogLine], "#after_ns"),
    Route("post", "/v1/query", "A canned query by name, or SQL in a locked-down process.", Table, body=Ask),
    Route("get", "/v1/held", "Messages that are being held, the next to go on first.", list[Held]),
    Route("post", "/v1/held/{held_id}", "Decide about one.", dict[str, str], body=Settle, acts=True),
    Route("get", "/v1/intercepts", "Breakpoints.", list[Intercept]),
    Route("post", "/v1/intercepts", "Set a breakpoint.", Intercept, body=SetIntercept, acts=True),
    Route("delete", "/v1/intercepts/{intercept_id}", "Take one away; what it holds goes on.", dict[str, str], acts=True),
    Route("post", "/v1/inject", "Send a Call and wait for its answer.", Injected, body=Inject, acts=True),
    Route("get", "/v1/open_links", "Open links of a charger, as the relays have them now.", list[OpenLink], "identity"),
    Route("post", "/v1/disconnect", "End the link of a charger.", dict[str, str], body=Disconnect, acts=True),
    Route("get", "/v1/plugins", "Plugins that are enabled somewhere.", list[PluginState]),
    Route("post", "/v1/plugins", "Enable or disable a plugin, on open links too.", Said, body=Switch, acts=True),
    Route("post", "/v1/reload", "Read configuration and plugin files again.", Said, acts=True),
)


@cache
def document() -> bytes:
    """The document, as JSON."""
    kinds = [kind for route in ROUTES for kind in (route.answer, route.body) if kind is not None] + [Error]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    found = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route, found)
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {
            "title": "ocpp-proxy control API", "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "On a Unix socket for its user, or on TCP with a token of instance.json.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`token` acts, `read_token` reads."}},
        },
    })


def _operation(route: Route, found: dict[str, Any]) -> dict[str, Any]:
    refused = {"description": "Refused, and why.", "content": {JSON: {"schema": found[repr(Error)]}}}
    schema = found[repr(route.answer)] if route.media != BYTES else {}
    answers = {"200": {"description": "Done.", "content": {route.media: {"schema": schema}}}, "default": refused}
    words = route.path.replace("/", " ").replace("{", "").replace("}", "").replace(".", " ").split()
    name = "_".join([route.method, *(word for word in words if word != "v1")])
    operation: dict[str, Any] = {
        "operationId": name, "summary": route.about, "tags": ["acting" if route.acts else "reading"], "responses": answers,
    }
    parameters = [_parameter(word.strip("{}"), "path") for word in route.path.split("/") if word.startswith("{")]
    parameters += [_parameter(word, "query") for word in route.query.split()]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": found[repr(route.body)]}}}
    return operation


def _parameter(word: str, place: str) -> dict[str, Any]:
    kind = "integer" if word.startswith("#") else "string"
    return {"name": word.lstrip("#"), "in": place, "required": place == "path", "schema": {"type": kind}}
