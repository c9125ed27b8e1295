"""The line protocol kernel: byte for byte its plain twin's, and what it writes reads back as the same values."""

from __future__ import annotations

import math
import random
import struct
import sys
from types import ModuleType
from typing import Any

import pytest
from fixtures.influx import Influx
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line
from twins import lineprotocol as twin

import ext.lineprotocol as kernel

BOTH = pytest.mark.parametrize("lp", [kernel, twin], ids=["kernel", "twin"])
KINDS = (("i", "integer"), ("f", "float"), ("s", "string"), ("b", "boolean"))


@BOTH
class TestRules:
    def test_every_kind_has_its_spelling(self, lp: ModuleType) -> None:
        schema = lp.Schema([*KINDS, ("off", "boolean")])
        prefix = lp.encode_prefix("m", [("k", "v")])
        row = lp.encode_row(schema, prefix, (-7, 2.5, 'a"b\\c', True, False), 1_700_000_000_000_000_000)
        assert row == rb'm,k=v i=-7i,f=2.5,s="a\"b\\c",b=true,off=false 1700000000000000000'

    def test_names_and_tags_are_escaped_and_empty_tags_left_out(self, lp: ModuleType) -> None:
        prefix = lp.encode_prefix("a b,c=d", [("k 1", "v,1=2"), ("none", ""), ("\\x", "a\\b")])
        assert prefix == rb"a\ b\,c=d,k\ 1=v\,1\=2,\x=a\b"

    def test_field_keys_are_escaped(self, lp: ModuleType) -> None:
        assert lp.encode_row(lp.Schema([("a b=", "integer")]), b"m", (1,), 0) == rb"m a\ b\==1i 0"

    @pytest.mark.parametrize("text", ["", "a\nb", "a\\", "a\\,b", "a\\ b", "a\\=b"])
    def test_what_has_no_spelling_is_refused(self, lp: ModuleType, text: str) -> None:
        with pytest.raises(ValueError):
            lp.Schema([(text, "integer")])
        if text:
            with pytest.raises(ValueError):
                lp.encode_prefix("m", [("k", text)])

    @pytest.mark.parametrize("measurement", ["", "#m", "m\n", "m\\", "m\\ n"])
    def test_measurements_without_spelling_are_refused(self, lp: ModuleType, measurement: str) -> None:
        with pytest.raises(ValueError):
            lp.encode_prefix(measurement, [])

    @pytest.mark.parametrize("absent", [None, math.nan, math.inf, -math.inf])
    def test_an_undefined_field_is_left_out_never_zero(self, lp: ModuleType, absent: float | None) -> None:
        schema = lp.Schema([("f", "float"), ("i", "integer")])
        assert lp.encode_row(schema, b"m", (absent, 1), 5) == b"m i=1i 5"

    def test_a_row_without_fields_is_not_a_row(self, lp: ModuleType) -> None:
        schema = lp.Schema(KINDS)
        assert lp.encode_row(schema, b"m", (None,) * 4, 5) == b""
        rows = [(None,) * 4, (1, None, None, None), (None,) * 4, (2, None, None, None), (None,) * 4]
        assert lp.encode_rows(schema, [b"m"] * 5, rows, range(5)) == (b"m i=1i 1\nm i=2i 3", 2)
        assert lp.encode_rows(schema, [b"m"], rows[:1], [0]) == (b"", 0)

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            *(("integer", v) for v in (1.0, True, "1", b"1")),
            *(("float", v) for v in (True, "1.0")),
            *(("string", v) for v in (1, b"x", True)),
            *(("boolean", v) for v in (1, 0.0, "true")),
        ],
    )
    def test_a_field_keeps_its_kind_for_ever(self, lp: ModuleType, kind: str, value: object) -> None:
        with pytest.raises(TypeError):
            lp.encode_row(lp.Schema([("x", kind)]), b"m", (value,), 0)

    def test_integers_are_int64(self, lp: ModuleType) -> None:
        schema = lp.Schema([("x", "integer")])
        for value in (2**63 - 1, -(2**63), 0):
            assert lp.encode_row(schema, b"m", (value,), value) == f"m x={value}i {value}".encode()
        for value in (2**63, -(2**63) - 1):
            with pytest.raises(OverflowError):
                lp.encode_row(schema, b"m", (value,), 0)
            with pytest.raises(OverflowError):
                lp.encode_row(schema, b"m", (0,), value)

    def test_unsigned_integers_are_uint64(self, lp: ModuleType) -> None:
        schema = lp.Schema([("x", "unsigned")])
        for value in (0, 7, 2**63, 2**64 - 1):
            assert lp.encode_row(schema, b"m", (value,), 0) == f"m x={value}u 0".encode()
        for wrong in (-1, 2**64):
            with pytest.raises(OverflowError):
                lp.encode_row(schema, b"m", (wrong,), 0)
        with pytest.raises(TypeError):
            lp.encode_row(schema, b"m", (True,), 0)

    def test_the_schema_is_usable_after_a_refused_row(self, lp: ModuleType) -> None:
        schema = lp.Schema([("a", "integer"), ("b", "integer")])
        with pytest.raises(TypeError):
            lp.encode_row(schema, b"m", (1, "x"), 0)
        assert lp.encode_row(schema, b"m", (1, 2), 0) == b"m a=1i,b=2i 0"

    def test_lengths_and_kinds_are_checked(self, lp: ModuleType) -> None:
        schema = lp.Schema([("a", "integer")])
        with pytest.raises(ValueError):
            lp.encode_row(schema, b"m", (1, 2), 0)
        with pytest.raises(ValueError):
            lp.encode_rows(schema, [b"m"], [(1,)], [0, 1])
        with pytest.raises(ValueError):
            lp.Schema([("a", "decimal")])

    @pytest.mark.parametrize("text", ["a\nb", "\n"])
    def test_a_line_feed_in_a_string_is_refused(self, lp: ModuleType, text: str) -> None:
        with pytest.raises(ValueError):
            lp.encode_row(lp.Schema([("s", "string")]), b"m", (text,), 0)

    def test_a_lone_surrogate_is_refused(self, lp: ModuleType) -> None:
        with pytest.raises(UnicodeEncodeError):
            lp.encode_row(lp.Schema([("s", "string")]), b"m", ("\ud800",), 0)


int64s = st.integers(-(2**63), 2**63 - 1)
any_double = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
decimals = st.builds(lambda i, p: i / 10**p, st.integers(-(10**16), 10**16), st.integers(0, 4))
texts = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
values = st.tuples(
    st.none() | int64s,
    st.none() | st.floats() | any_double | decimals | st.integers(-(2**60), 2**60),
    st.none() | texts,
    st.none() | st.booleans(),
)
names = st.text(st.characters(exclude_characters="\n\x00", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: not text.endswith("\\") and not any("\\" + c in text for c in ",= ") and text[0] != "#"
)


@given(values, int64s)
def test_kernel_and_twin_write_the_same_bytes(row: tuple[Any, ...], t_ns: int) -> None:
    plain = twin.encode_row(twin.Schema(KINDS), b"m", row, t_ns)
    assert kernel.encode_row(kernel.Schema(KINDS), b"m", row, t_ns) == plain


@given(st.floats(allow_nan=False, allow_infinity=False) | any_double.filter(math.isfinite) | decimals)
def test_floats_are_the_shortest_text_that_reads_back(value: float) -> None:
    line = kernel.encode_row(kernel.Schema([("f", "float")]), b"m", (value,), 0)
    assert line == f"m f={value!r} 0".encode()


def test_every_power_of_two_and_its_neighbours_and_many_others() -> None:
    """The places where a shortest decimal goes wrong: interval ends, subnormals, the step below a power of two."""
    rng = random.Random(7)
    edges = [(exponent << 52) + step for exponent in range(2047) for step in (0, 1, 2, 1 << 51, (1 << 52) - 1)]
    bits = [*edges[1:], *(rng.getrandbits(64) for _ in range(50_000))]
    doubles = [struct.unpack("<d", struct.pack("<Q", each))[0] for each in bits]
    reals = [struct.unpack("<f", struct.pack("<f", rng.uniform(-1e4, 1e4)))[0] for _ in range(20_000)]
    exact = [rng.randrange(10**17) / 10 ** rng.randrange(20) for _ in range(20_000)]
    numbers = [number for number in doubles + reals + exact if math.isfinite(number)]
    rows = [(number,) for number in numbers]
    text, _ = kernel.encode_rows(kernel.Schema([("f", "float")]), [b"m"] * len(rows), rows, [0] * len(rows))
    assert text.decode().split("\n") == [f"m f={number!r} 0" for number in numbers]


@given(st.lists(st.tuples(values, int64s), max_size=20))
def test_a_batch_is_its_rows_joined(rows: list[tuple[tuple[Any, ...], int]]) -> None:
    schema = kernel.Schema(KINDS)
    single = [line for row, t_ns in rows if (line := kernel.encode_row(schema, b"m", row, t_ns))]
    batch = kernel.encode_rows(schema, [b"m"] * len(rows), [row for row, _ in rows], [t_ns for _, t_ns in rows])
    assert batch == (b"\n".join(single), len(single))


@given(names, names, names)
def test_kernel_and_twin_write_the_same_prefix(measurement: str, key: str, value: str) -> None:
    assert kernel.encode_prefix(measurement, [(key, value)]) == twin.encode_prefix(measurement, [(key, value)])


# line-protocol-parser ends strings at NUL, keeps backslashes in names and refuses subnormal doubles and the ends of
# int64: those are left to the real server.
plain_names = st.text("abcdefgh ,=甲乙_-.", min_size=1, max_size=10)
plain_texts = st.text(st.characters(exclude_characters="\n\x00", exclude_categories=["Cs"]), max_size=30)


@given(names, names, names)
def test_a_tag_behind_a_prefix_is_as_if_it_had_been_in_it(measurement: str, before: str, value: str) -> None:
    def made(how: str) -> bytes | None:
        try:
            tags = (("key", before), ("name", value))
            if how == "at once" or not value:
                return kernel.encode_prefix(measurement, tags)
            return kernel.encode_tag(kernel.encode_prefix(measurement, tags[:1]), b"name", value)
        except ValueError:
            return None

    assert made("at once") == made("one by one")


@given(plain_names, plain_names, plain_names, values, plain_texts, st.integers(0, 2**63 - 2))
def test_another_parser_reads_back_what_was_written(
    measurement: str, key: str, tag: str, row: tuple[Any, ...], text: str, t_ns: int
) -> None:
    integer, number, _, flag = row
    if number is not None and 0 < abs(number) < sys.float_info.min:
        number = 0.5
    if number is not None:
        number = float(number)  # what a double makes of a large integer is what is read back
    if integer is not None and abs(integer) >= 2**63 - 1:
        integer = 0
    schema = kernel.Schema(KINDS)
    line = kernel.encode_row(
        schema, kernel.encode_prefix(measurement, [(key, tag)]), (integer, number, text, flag), t_ns
    )
    point = parse_line(line.decode())
    expected = {"i": integer, "f": number, "s": text, "b": flag}
    absent = [name for name, value in expected.items() if value is None or (name == "f" and not math.isfinite(value))]
    for name in absent:
        del expected[name]
    assert point == {"measurement": measurement, "tags": {key: tag}, "fields": expected, "time": t_ns}


@given(st.integers(0, 2**64 - 1), plain_names, plain_texts)
def test_another_parser_reads_back_unsigned_integers_and_text(number: int, name: str, text: str) -> None:
    """The server of the tests knows no unsigned integers, the parser does."""
    schema = kernel.Schema([(name, "unsigned"), ("s", "string")])
    point = parse_line(kernel.encode_row(schema, b"m", (number, text), 1).decode())
    assert point["fields"] == {name: number, "s": text}


def _hard_rows() -> list[tuple[Any, ...]]:
    numbers = [0.1, -0.0, 1e22, 5e-324, 1.7976931348623157e308, 123456.789, 1e16, -2.5e-7, 1e15, 999999999999.999]
    texts = ["", '"', "\\", '\\"', "a,b c=d", "停机：纸带断", "tab\there", "\\n", "end\\", "'", "🏭", "\r", "\x01"]
    integers = [0, -1, 2**63 - 1, -(2**63), 2**53 + 1]
    size = max(len(numbers), len(texts), len(integers))
    return [
        (integers[n % len(integers)], numbers[n % len(numbers)], texts[n % len(texts)], n % 2 == 0) for n in range(size)
    ]


HARD_TAGS = ["a b", "a,b", "a=b", "a\\b", '"quoted"', "压条机-1", "\\start", "a'b", "x\ty"]


async def test_a_real_influxdb_gives_back_what_was_written(influx: tuple[Influx, str]) -> None:
    """Write to InfluxDB 1.6.7, query back: the same integers, doubles, strings, flags, tags and times."""
    from edge.plan import InfluxSink
    from edge.sinks import Delivered
    from edge.sinks.factory import make_sink

    server, database = influx
    rows = _hard_rows()
    schema = kernel.Schema(KINDS)
    times = [1_700_000_000_000_000_000 + n for n in range(len(rows))]
    prefixes = [kernel.encode_prefix("hard, m", [("tag k", HARD_TAGS[n % len(HARD_TAGS)])]) for n in range(len(rows))]
    lines, count = kernel.encode_rows(schema, prefixes, rows, times)
    sink = make_sink(InfluxSink("t", 1, server.url, database))
    outcome = await sink.write(lines)
    await sink.close()
    assert isinstance(outcome, Delivered), outcome
    stored = sorted(await server.query('SELECT * FROM "hard, m"', database), key=lambda point: point["time"])
    assert count == len(stored) == len(rows)
    for n, (point, row) in enumerate(zip(stored, rows, strict=True)):
        got = (point["i"], point["f"], point["s"], point["b"])
        assert got == row
        assert point["time"] == times[n]
        assert point["tag k"] == HARD_TAGS[n % len(HARD_TAGS)]


async def test_random_points_come_back_from_a_real_influxdb(influx: tuple[Influx, str]) -> None:
    """A thousand points of any double, any int64, any text but a line feed: written, queried, compared."""
    from edge.plan import InfluxSink
    from edge.sinks import Delivered
    from edge.sinks.factory import make_sink

    server, database = influx
    rng = random.Random(11)
    alphabet = [chr(n) for n in range(1, 128) if n != 10] + list('压条机停🏭é\\\\"",, ==')

    def row() -> tuple[int, float, str, bool]:
        number = math.nan
        while not math.isfinite(number):
            number = struct.unpack("<d", struct.pack("<Q", rng.getrandbits(64)))[0]
        text = "".join(rng.choices(alphabet, k=rng.randrange(20)))
        return rng.randrange(-(2**63), 2**63), number, text, rng.random() < 0.5

    rows = [row() for _ in range(1000)]
    times = [1_700_000_000_000_000_000 + n for n in range(1000)]
    lines, count = kernel.encode_rows(kernel.Schema(KINDS), [b"fuzz"] * 1000, rows, times)
    assert count == 1000
    sink = make_sink(InfluxSink("t", 1, server.url, database))
    assert isinstance(await sink.write(lines), Delivered)
    await sink.close()
    stored = await server.query("SELECT i, f, s, b FROM fuzz", database)
    assert [(point["i"], float(point["f"]), point["s"], point["b"]) for point in stored] == rows
