"""Every key has its line, however it is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.daemon.toml_lines import KeyPath, key_lines
from tests.support.places import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ODD = '''\
# db = "not this one"
db = "a # b = c"        # 2

text = """
[source.not-this]
event = "neither"
"""                      # 4 to 7
list = [
  "x = y", # ] = [
  'source = 1',
  { observer = "not a key of ours" },
]
[source."a.b"]           # 13
"quoted key" = 1
paths = ["1",
  "2"]
stall.ms = 5             # 17
inline = { one = 1, two = { three = [{ x = 1 }, 2] }, four = {} }   # 18

[ source . plain ]       # 20
event = \'\'\'it's
x = 1\'\'\'
last = 2024-01-01T00:00:00Z
"u\\u0041" = 0x1F
[[tables]]
name = 1
'''


def paths(table: Mapping[str, Any], before: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in table.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


def test_odd_text_has_its_keys_where_a_reader_sees_them() -> None:
    lines = key_lines(ODD)
    assert lines["db",] == 2
    assert lines["text",] == 4
    assert lines["list",] == 8
    assert lines["source", "a.b"] == 13
    assert lines["source", "a.b", "quoted key"] == 14
    assert lines["source", "a.b", "paths"] == 15
    assert lines["source", "a.b", "stall", "ms"] == 17
    inline: KeyPath = ("source", "a.b", "inline")
    for rest in ((), ("one",), ("two",), ("two", "three"), ("four",)):
        assert lines[inline + rest] == 18
    assert lines["source", "plain"] == 20
    assert lines["source", "plain", "event"] == 21
    assert lines["source", "plain", "last"] == 23
    assert lines["source", "plain", "uA"] == 24
    assert lines["tables",] == 25
    assert ("source", "not-this") not in lines
    assert ("observer",) not in lines


def test_it_finds_every_key_that_the_parser_finds() -> None:
    assert {path for path in paths(tomllib.loads(ODD)) if path not in key_lines(ODD)} == set()


KEYS = st.sampled_from(["a", "b-c", '"x = y"', "'[z]'", '"# no"', "d . e"])
VALUES = st.recursive(
    st.sampled_from(["1", '"a = [b"', "'''\nq = 1\n'''", '"""\n[w]\n\\""""', "true", "1979-05-27", '"}"', "-1.5e3"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n # = [\n" + " ,\n".join(items) + "]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{ " + ", ".join(f"k{n} = {item}" for n, item in enumerate(items)) + " }"
        ),
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=6, unique_by=lambda pair: pair[0]))
def test_the_line_of_a_key_is_the_one_that_it_begins_on(pairs: list[tuple[str, str]]) -> None:
    text, wanted = "[t]\n", {}
    for key, value in pairs:
        wanted[key.strip("\"'").split(" . ")[0]] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    tomllib.loads(text)
    lines = key_lines(text)
    assert {key: lines["t", key] for key in wanted} == wanted
    assert {path for path in paths(tomllib.loads(text)) if path not in lines} == set()


def test_the_example_is_found_whole() -> None:
    text = (ROOT / "examples" / "otel-logtail.toml").read_text()
    assert {path for path in paths(tomllib.loads(text)) if path not in key_lines(text)} == set()
