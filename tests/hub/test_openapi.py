"""The OpenAPI document is whole: every route of the router is in it, every reference leads somewhere."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ocpp_proxy.hub import openapi
from ocpp_proxy.hub.client import LiveSource
from ocpp_proxy.hub.control import Control
from ocpp_proxy.hub.metrics import Metrics
from ocpp_proxy.hub.sinks import Live

DOCUMENT: dict[str, Any] = msgspec.json.decode(openapi.document())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def values(tree: Any, key: str) -> Iterator[Any]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from values(value, key)


def test_the_router_and_the_document_have_the_same_routes(tmp_path: Path) -> None:
    async def body() -> set[tuple[str, str]]:
        control = Control(Live(), Metrics(tmp_path, dict), None, lambda: (True, {"status": "ok"}))
        source = LiveSource(await control.start(str(tmp_path / "c.sock"), ""))
        try:
            async with source._request("GET", "/v1/openapi.json") as response:
                assert await response.json() == DOCUMENT
            assert control._runner is not None
            routes = control._runner.app.router.routes()
            return {(route.method.lower(), route.resource.canonical) for route in routes if route.resource is not None}
        finally:
            await source.close()
            await control.stop()

    routed = {(method, path) for method, path in asyncio.run(body()) if method != "head"}
    assert {(method, path) for method, path, _ in operations()} == routed


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    known = DOCUMENT["components"]["schemas"]
    named = {reference.removeprefix("#/components/schemas/") for reference in values(DOCUMENT, "$ref")}
    mapped = [name for mapping in values(DOCUMENT, "mapping") for name in mapping.values()]
    named |= {name.removeprefix("#/components/schemas/") for name in mapped}
    assert named == set(known)


def test_operations_are_as_the_specification_wants_them() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids)) == len(openapi.ROUTES)
    for method, path, operation in operations():
        assert operation["summary"].endswith(".")
        assert {"200", "default"} <= operation["responses"].keys()
        for answer in operation["responses"].values():
            assert answer["description"]
            assert all("schema" in content for content in answer["content"].values())
        parameters = operation.get("parameters", [])
        in_path = {one["name"] for one in parameters if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(one["required"] is (one["in"] == "path") and one["schema"]["type"] for one in parameters)
        assert method != "get" or "requestBody" not in operation


def test_every_route_stands_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "control-api.md").read_text("utf-8")
    for method, path, _ in operations():
        assert f"`{method.upper()} {path}" in page, (method, path)
