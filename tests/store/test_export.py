"""What is exported is what is stored, in every format, read back by somebody else; and it comes back byte for byte."""

from __future__ import annotations

import csv
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import line_protocol_parser
import pyarrow.parquet
import pytest
from fixtures.records import batch, outbox_at, record
from hypothesis import given
from hypothesis import strategies as st
from store.conftest import Seamline, aside, lines_of

from edge.outbox.reader import Reader
from edge.points import MEASUREMENTS, RecordClass
from edge.store import line
from ext.lineprotocol import Schema, encode_prefix, encode_row


def stored(path: Path) -> list[tuple[RecordClass, int, bytes]]:
    with Reader(path) as reader:
        records, damaged = reader.stretch(0, 1 << 62, 1 << 40)
    assert not damaged
    return [(r.record_class, r.t_ns, r.lines) for r in records]


def test_line_protocol_is_what_is_stored_and_an_import_makes_the_same_records(
    path: Path, tmp_path: Path, seamline: Seamline
) -> None:
    out, copy = tmp_path / "out.lp", tmp_path / "copy.db"
    assert seamline("export", "--store", path, "--out", out)[0] == 0
    assert b"\n".join(lines_of(out.read_bytes())) == b"\n".join(lines for _, _, lines in stored(path))
    assert seamline("import", "--store", copy, out)[0] == 0
    assert stored(copy) == stored(path)
    again = seamline("import", "--store", copy, out)
    assert "0 points imported" in again[1]
    assert stored(copy) == stored(path)
    assert seamline("fsck", "--store", copy)[0] == 0


def test_a_foreign_file_is_imported_once_however_often_it_is_given(tmp_path: Path, seamline: Seamline) -> None:
    """Cut the same way every time; classes by the dictionary; comments and empty lines are none."""
    text = (
        b"# by hand\n\n" + b"\n".join(b"live,machine=m1 bucket=1i %d" % n for n in range(2500)) + b"\nown,x=1 y=2 7\r\n"
    )
    (tmp_path / "hand.lp").write_bytes(text)
    for _ in range(2):
        assert seamline("import", "--store", tmp_path / "new.db", tmp_path / "hand.lp")[0] == 0
    found = stored(tmp_path / "new.db")
    assert [record_class for record_class, _, _ in found] == [RecordClass.LIVE] * 3 + [RecordClass.TAG]
    assert b"\n".join(lines for _, _, lines in found) == b"\n".join(lines_of(text.replace(b"\r", b"")))


def test_a_line_that_is_none_is_named_and_the_file_can_be_given_again(tmp_path: Path, seamline: Seamline) -> None:
    bad = tmp_path / "bad.lp"
    bad.write_bytes(b"live,machine=m1 bucket=1i 5\nnonsense\n")
    status, _, said = seamline("import", "--store", tmp_path / "new.db", bad)
    assert status == 1
    assert "line 2" in said
    bad.write_bytes(b"live,machine=m1 bucket=1i 5\n")
    assert seamline("import", "--store", tmp_path / "new.db", bad)[0] == 0
    assert len(stored(tmp_path / "new.db")) == 1


async def test_beside_a_running_agent_an_export_works_and_an_import_is_refused(
    path: Path, tmp_path: Path, seamline: Seamline
) -> None:
    outbox = outbox_at(path, "a", "b")
    await outbox.open()
    assert (await aside(seamline, "export", "--store", path, "--out", tmp_path / "o.lp"))[0] == 0
    status, _, said = await aside(seamline, "import", "--store", path, tmp_path / "o.lp")
    assert (status, "another seamline" in said) == (1, True)
    await outbox.commit(batch(100, record(100)))
    await outbox.close()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_hold_every_point_with_every_tag_and_field(
    path: Path, tmp_path: Path, seamline: Seamline, form: str
) -> None:
    """Against the lines themselves, parsed by an independent parser."""
    assert seamline("export", "--store", path, "--format", form, "--out", tmp_path / "out")[0] == 0
    wanted: dict[str, list[dict[str, object]]] = {}
    for _, _, text in stored(path):
        for each in text.decode().split("\n"):
            point = line_protocol_parser.parse_line(each)
            values = {"time_ns": point["time"], **point["tags"], **point["fields"]}
            wanted.setdefault(point["measurement"], []).append(values)
    assert {file.stem for file in (tmp_path / "out").iterdir()} == set(wanted)
    for name, points in wanted.items():
        read = read_csv if form == "csv" else read_parquet
        told = [{k: v for k, v in point.items() if v != "" or form == "parquet"} for point in points]
        assert read(tmp_path / "out" / f"{name}.{form}", name) == told


def read_csv(file: Path, name: str) -> list[dict[str, object]]:
    """An empty text is an absent one there."""
    measurement = next(m for m in MEASUREMENTS if m.name == name)
    kinds = {field.name: field.kind.value for field in measurement.fields} | {"time_ns": "integer"}
    convert = {"integer": int, "float": float, "boolean": "true".__eq__}
    with file.open(newline="", encoding="utf-8") as rows:
        got = list(csv.DictReader(rows))
    assert all(row.pop("time").endswith("Z") and row.pop("more") == "" for row in got)
    return [{k: convert.get(kinds.get(k, ""), str)(text) for k, text in row.items() if text} for row in got]


def read_parquet(file: Path, name: str) -> list[dict[str, object]]:
    table = pyarrow.parquet.read_table(file)
    times = table.column("time").cast("int64").to_pylist()
    rows = table.drop_columns(["time", "more"]).to_pylist()
    assert table.column("more").null_count == len(rows)
    return [
        {"time_ns": t_ns, **{key: value for key, value in got.items() if value is not None}}
        for t_ns, got in zip(times, rows, strict=True)
    ]


def test_only_what_was_asked_for(path: Path, tmp_path: Path, seamline: Seamline) -> None:
    def exported(*choice: str) -> list[bytes]:
        assert seamline("export", "--store", path, "--out", tmp_path / "o.lp", *choice)[0] == 0
        return lines_of((tmp_path / "o.lp").read_bytes())

    everything = [each for _, _, text in stored(path) for each in text.split(b"\n")]
    assert exported() == everything
    assert exported("--machine", "M.2") == [e for e in everything if line.tags_of(e).get("machine") == "M.2"] != []
    times = sorted(line.time_of(each) for each in everything)
    middle_s = times[len(times) // 2] // 10**9
    moment = datetime.fromtimestamp(middle_s, UTC).isoformat()
    since = [each for each in everything if line.time_of(each) >= middle_s * 10**9]
    assert exported("--from", moment) == since != everything
    events = exported("--class", "event", "--class", "tag")
    assert {line.measurement_of(each) for each in events} == {"stop", "gap", "device", "agent", "revision", "tag"}


def test_a_damaged_record_is_left_out_and_said(path: Path, tmp_path: Path, seamline: Seamline) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE record SET t_ns = t_ns + 1 WHERE id = 7")
    connection.commit()
    connection.close()
    status, _, said = seamline("export", "--store", path, "--out", tmp_path / "o.lp")
    assert (status, "1 records" in said) == (1, True)
    assert len((tmp_path / "o.lp").read_bytes()) > 1000


def test_parquet_without_its_library_says_what_to_install(
    path: Path, tmp_path: Path, seamline: Seamline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "edge.store.parquet", raising=False)
    status, _, said = seamline("export", "--store", path, "--format", "parquet", "--out", tmp_path)
    assert (status, "seamline[parquet]" in said) == (1, True)


# ---- the parser ----

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs"), blacklist_characters="\\\x85"),
    min_size=1,
    max_size=12,
)
TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r\0"), max_size=30)


@given(
    tags=st.dictionaries(NAMES, NAMES, max_size=3),
    values=st.tuples(
        st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS, st.booleans()
    ),
    t_ns=st.integers(0, 1 << 62),
)
def test_what_the_kernel_wrote_is_read_back(
    tags: dict[str, str], values: tuple[int, float, str, bool], t_ns: int
) -> None:
    schema = Schema((("i", "integer"), ("f", "float"), ("s", "string"), ("b", "boolean")))
    text = encode_row(schema, encode_prefix("m, x", tuple(tags.items())), values, t_ns)
    point = line.parse(text)
    assert (point.measurement, dict(point.tags), point.t_ns) == ("m, x", tags, t_ns)
    assert tuple(point.fields.values()) == values
    assert line.tags_of(text) == tags


@pytest.mark.parametrize("text", [b"", b"m", b"m f=1", b"m,t=1 f 5", b"m,t f=1 5", b'm f="x 5', b"m f=1 x"])
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        line.parse(text)
