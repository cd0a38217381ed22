"""The schemas of OCPP 2.0 made from those of 2.0.1 agree with the ones ``ocpp`` 0.26.0 published."""

import copy
import os
from pathlib import Path
from random import Random

import jsonschema_rs
import orjson
import pytest

from ocpp_proxy.spec import difference, schemas
from tests.spec.payloads import make, mutants

ORACLE = os.environ.get("OCPP_PROXY_OCPP026", "")

needs_oracle = pytest.mark.skipif(
    not (Path(ORACLE) / "ocpp" / "v20" / "schemas").is_dir() or not ORACLE,
    reason="OCPP_PROXY_OCPP026 names no folder with ocpp 0.26.0 (pip install --target DIR --no-deps ocpp==0.26.0)",
)

NOTHING: frozenset[str] = frozenset()


def published(name: str) -> dict[str, object]:
    """One 2.0 schema as published; two of its references lack a slash."""
    text = (Path(ORACLE) / "ocpp" / "v20" / "schemas" / f"{name}_v1p0.json").read_text("utf-8-sig")
    schema = orjson.loads(text.replace('"#definitions/', '"#/definitions/'))
    assert isinstance(schema, dict)
    return schema


def normal(node: object) -> object:
    """A flattened schema without what has no meaning: order of lists, empty lists."""
    if not isinstance(node, dict):
        return node
    out = {key: normal(value) for key, value in node.items() if value not in ([], {})}
    for key in ("required", "enum"):
        if key in out:
            out[key] = sorted(difference.texts(out[key]))
    return out


@needs_oracle
def test_the_134_messages_are_those_published() -> None:
    names = {path.name.removesuffix("_v1p0.json") for path in (Path(ORACLE) / "ocpp/v20/schemas").glob("*.json")}
    assert set(schemas.messages("2.0").values()) == names
    assert len(names) == 134


@needs_oracle
def test_every_field_and_limit_is_the_published_one() -> None:
    for (action, answer), name in schemas.messages("2.0").items():
        theirs = published(name)
        ours = schemas.raw("2.0", action, answer)
        assert normal(ours) == normal(difference.flatten(theirs, theirs, NOTHING)), name


@needs_oracle
def test_the_verdict_is_the_published_ones_on_valid_and_mutated_payloads() -> None:
    random = Random(20)
    verdicts = {True: 0, False: 0}
    for (action, answer), name in schemas.messages("2.0").items():
        theirs = published(name)
        flat = difference.flatten(theirs, theirs, NOTHING)
        oracle = jsonschema_rs.Draft6Validator(theirs, validate_formats=True)
        ours = schemas.validator("2.0", action, answer)
        assert ours is not None
        for full in (False, True, False):
            valid = make(flat, random, full)
            assert oracle.is_valid(valid), name
            for payload in (valid, *mutants(valid, flat, random, 40)):
                verdict = oracle.is_valid(payload)
                verdicts[verdict] += 1
                assert ours(payload) == verdict, (name, payload)
                assert bool(schemas.check("2.0", action, answer, payload)) == (not verdict), (name, payload)
    assert verdicts[True] > 2000 and verdicts[False] > 2000


def test_without_the_oracle_the_table_still_gives_the_renamed_fields() -> None:
    old = {"eventType": "Started", "timestamp": "2026-01-02T03:04:05Z", "triggerReason": "Authorized", "seqNo": 0,
           "transactionData": {"id": "t1", "chargingState": "EVDetected"}}
    assert schemas.check("2.0", "TransactionEvent", False, old) == ()
    assert schemas.check("2.0.1", "TransactionEvent", False, old) != ()
    unknown = {**old, "vendorThing": {"deep": 1}}
    assert schemas.check("2.0", "TransactionEvent", False, unknown) == ()
    assert schemas.check(schemas.CLOSED_2_0, "TransactionEvent", False, unknown) != ()


def test_deriving_changes_nothing_in_the_schema_it_starts_from() -> None:
    base = schemas.raw("2.0.1", "Authorize", False)
    before = copy.deepcopy(base)
    derived = difference.derive(base, {"drop": ["certificate"], "edit": {"idToken.type": "-MacAddress"}}, NOTHING, True)
    assert base == before
    assert "certificate" not in difference.child(derived, "properties")


@pytest.mark.parametrize(
    ("word", "field", "required"),
    [
        ("string, <=50", {"type": "string", "maxLength": 50}, True),
        ("string, <=50, ?", {"type": "string", "maxLength": 50}, False),
        ("=A|B C", {"type": "string", "enum": ["A", "B C"]}, True),
        ("array, 1..4", {"type": "array", "minItems": 1, "maxItems": 4}, True),
        ("array, 1..n, ?", {"type": "array", "minItems": 1}, False),
        ("integer, >=0", {"type": "integer", "minimum": 0.0}, True),
        ("dateTime", {"type": "string", "format": "date-time"}, True),
    ],
)
def test_the_notation_of_a_field(word: str, field: dict[str, object], required: bool) -> None:
    schema = difference.derive(None, {"put": {"a.b": word}}, NOTHING, False)
    holder = difference.child(difference.child(schema, "properties"), "a")
    assert difference.child(holder, "properties")["b"] == field
    assert ("b" in difference.texts(holder.get("required"))) == required
