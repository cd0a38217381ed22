"""JSON read lazily gives what a decoder gives, page by page, in bounded steps; and broken text up to where it breaks."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_proxy.wire.json_spans import Page, Span, name_of, page, root, tokens

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5), max_leaves=25)


def read(text: bytes, span: Span | None = None, limit: int = 2, reach: int = 40) -> Any:
    """The whole value, by small pages; a ``bad`` one as a tuple."""
    span = span or root(text)
    if span.kind in ("object", "array"):
        members, after = [], None
        while after is None or after.next or after.skip:
            after = page(text, span, limit, after, reach)
            assert len(after.members) <= limit
            members += after.members
        if span.kind == "object":
            return {name_of(member.name): read(text, member.value) for member in members}
        return [read(text, member.value) for member in members]
    if span.kind == "bad":
        return ("bad", text[span.start : span.end])
    return json.loads(text[span.start : span.end])


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_pages_give_what_a_decoder_gives(value: Any, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii).encode()
    assert read(text) == value


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:\\ 1atrue'), max_size=60).map(str.encode))
def test_any_bytes_come_to_an_end(text: bytes) -> None:
    waiting, pages = [root(text)], 0
    while waiting:
        span, after = waiting.pop(), None
        if span.kind not in ("object", "array"):
            assert 0 <= span.start <= span.end <= len(text)
            continue
        while after is None or after.next or after.skip:
            after = page(text, span, 3, after, 20)
            waiting += [member.value for member in after.members]
            pages += 1
            assert pages < 2_000


@pytest.mark.parametrize(("text", "value"), [
    (b"[1,]", [1, ("bad", b"]")]), (b"[1", [1, ("bad", b"")]), (b'{"a":1,', {"a": 1, "": ("bad", b"")}),
    (b"[NaN,1]", [("bad", b"NaN"), 1]), (b"[1 2]", [1, 2]), (b"{a:1}", {"": ("bad", b"a:1}")}), (b'["abc', [("bad", b'"abc')]),
    (b"", ("bad", b"")), (b"hello", ("bad", b"hello")), (b"[-,01]", [("bad", b"-"), ("bad", b"01")]),
    (b'{"a" 1}', {"a": ("bad", b"1}")}), (b"[1:2]", [1, ("bad", b":2]")]),
])
def test_broken_text_is_read_up_to_where_it_breaks(text: bytes, value: object) -> None:
    assert read(text) == value


def test_a_key_named_twice_is_there_twice_and_digits_stay() -> None:
    text = b'{"a":1.0,"a":1e400,"b":' + b"9" * 5000 + b"}"
    members = page(text, root(text), 10).members
    assert [member.name for member in members] == [b'"a"', b'"a"', b'"b"']
    assert [text[member.value.start : member.value.end] for member in members] == [b"1.0", b"1e400", b"9" * 5000]
    assert {member.value.kind for member in members} == {"number"}


def test_a_page_of_a_million_keys_looks_at_its_own_keys_only() -> None:
    text = b"{" + b",".join(b'"k%d":%d' % (at, at) for at in range(100_000)) + b"}"
    first = page(text, root(text), 200)
    assert len(first.members) == 200 and first.next < 4_000
    second = page(text, root(text), 200, first)
    assert second.members[0].name == b'"k200"'


def test_a_huge_nested_value_is_left_for_later() -> None:
    text = b'{"deep":' + b"[1," * 50_000 + b"0" + b"]" * 50_000 + b',"last":1}'
    first = page(text, root(text), 200, None, 1_000)
    assert [member.name for member in first.members] == [b'"deep"'] and first.members[0].value.end == -1
    assert 0 < first.skip < 2_000
    names, after, steps = [], first, 0
    while after.next or after.skip:
        after = page(text, root(text), 200, after, 100_000)
        names += [member.name for member in after.members]
        steps += 1
    assert names == [b'"last"'] and steps == 2


def test_many_values_without_a_bracket_are_left_for_later_too() -> None:
    text = b'{"long":[' + b'"a",' * 50_000 + b'0],"last":1}'
    first = page(text, root(text), 200, None, 1_000)
    assert 0 < first.skip < 6_000
    assert [member.name for member in page(text, root(text), 200, first).members] == [b'"last"']


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1001, 2000])
@pytest.mark.parametrize("item", ['"a\\\\"', "[]", '{"a":"]"}', "1"])
def test_values_of_any_number_are_passed_over(count: int, item: str) -> None:
    many = ",".join([item] * count)
    text = f'[[[{many}]],{{"last":[{many}],"then":1}},2]'.encode()
    members = page(text, root(text), 10).members
    assert [text[member.value.start : member.value.end] for member in members] == [
        f"[[{many}]]".encode(), f'{{"last":[{many}],"then":1}}'.encode(), b"2"]
    broken = f"[[{many}".encode()
    (cut,) = page(broken, root(broken), 10).members
    assert cut.value.kind == "array" and cut.value.end == -1


def test_depth_costs_no_stack() -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    span = root(text)
    for _ in range(50):
        found = page(text, span, 10)
        assert len(found.members) == 1 and not found.next and not found.skip
        span = found.members[0].value
    assert page(b"[" * 100_000, Span("array", 0, -1), 10).members[-1].value.end in (-1, 100_000)


def test_an_empty_page_ends() -> None:
    for text in (b"[]", b"{ }", b"[\n]"):
        assert page(text, root(text), 10) == Page([])


@given(VALUES)
def test_tokens_joined_are_the_text_without_blanks(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":")).encode()
    assert b"".join(text[start:end] for start, end in tokens(text)) == text


@pytest.mark.parametrize(("name", "said"), [
    (b'"a"', "a"), (b'"\\u00e4"', "ä"), (b'"\\ud800"', "\ud800"), (b'"\\q"', "\\q"), (b'"\xff"', "\\xff"),
    (b'"a\nb\\n"', "a\nb\n"),
])
def test_names_are_read_as_far_as_they_can_be(name: bytes, said: str) -> None:
    assert name_of(name) == said
