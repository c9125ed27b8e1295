"""The file of readings: every mistake with its line, in both languages, all together; odd spellings that are right."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from machines.bench import machine
from replay.recording import S, plan_of

from edge.errors import ConfigError
from edge.recording.lines import HEADER, LATE_MAX
from edge.replay.order import MOST_ARRIVALS, LateReadings, Order, with_late
from edge.replay.passes import replayed
from edge.replay.readings import MOST, ReadingsFile
from protocols.reading import Quality

T = 1_780_000_000 * S
RUN, TOTAL = 0, 4


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "en")


def file_of(folder: Path, *lines: str, head: str = ",".join(HEADER)) -> ReadingsFile:
    path = folder / "r.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return ReadingsFile(path, {"m1": machine()})


def mistakes(folder: Path, *lines: str, head: str = ",".join(HEADER)) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        list(file_of(folder, *lines, head=head).lines())
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{T},m1,run,1", "r.csv:2: 5 columns wanted, 4 found"),
        (f"{T}.5,m1,run,1,good", "r.csv:2: time_ns: '1780000000000000000.5' is not an integer"),
        ("soon,m1,run,1,good", "UTC nanoseconds since 1970 are expected"),
        ("0,m1,run,1,good", "r.csv:2: time_ns: time 0 is not within 1970-2255"),
        (f"{T}0,m1,run,1,good", "not within 1970-2255"),
        (f"{T},m2,run,1,good", "r.csv:2: machine: the site file has no machine 'm2'"),
        (f"{T},m1,rum,1,good", "r.csv:2: signal: machine m1 has no signal 'rum'\n    → did you mean run?"),
        (f"{T},m1,,1,good", "r.csv:2: signal: machine m1 has no signal ''"),
        (f"{T},m1,run,on,good", "r.csv:2: value: 'on' is not a number"),
        (f"{T},m1,run,nan,good", "r.csv:2: value: 'nan' is not a number"),
        (f"{T},m1,run,,good", "only a bad reading may go without a value"),
        (f"{T},m1,run,{1 << 63},good", "r.csv:2: value: the value does not fit 64 bits"),
        (f"{T},m1,run,1,ok", "r.csv:2: quality: there is no quality 'ok'"),
        ('"', "r.csv:"),
    ],
)
def test_a_mistake_has_its_line_and_what_was_expected(line: str, words: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, line)
    assert words in told


def test_all_mistakes_of_a_file_come_together_and_the_same_name_once(tmp_path: Path) -> None:
    told = mistakes(tmp_path, f"{T},m2,run,1,good", "x,m2,rum,?,ok", f"{T},m1,run,1,good", f"{T},m1,rum,1,good")
    assert [text.split(": ")[0:2] for text in told] == [
        ["r.csv:2", "machine"], ["r.csv:3", "quality"], ["r.csv:3", "value"], ["r.csv:3", "time_ns"],
        ["r.csv:5", "signal"],
    ]  # fmt: skip


def test_after_twenty_nobody_reads_on(tmp_path: Path) -> None:
    told = mistakes(tmp_path, *(f"{T},m1,run,{number}x,good" for number in range(100)))
    assert len(told) == MOST
    assert "the rest of the file was not read" in told[-1]


def test_in_chinese_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEAMLINE_LANG", "zh")
    assert mistakes(tmp_path, f"{T},m1,rum,1,good")[0].startswith("r.csv:2: signal: 机器 m1 没有信号 'rum'")


@pytest.mark.parametrize("head", ["", "time,machine,signal,value,quality", f"{T},m1,run,1,good"])
def test_the_first_line_names_the_columns(head: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, head=head) == ["r.csv:1: the first line must be time_ns,machine,signal,value,quality"]


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    missing = ReadingsFile(tmp_path / "none.csv", {"m1": machine()})
    with pytest.raises(ConfigError, match="cannot read the file"):
        list(missing.lines())
    (tmp_path / "r.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        list(ReadingsFile(tmp_path / "r.csv", {"m1": machine()}).lines())


def test_spellings_that_are_right(tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        f"{T},m1,run,true,good",
        f"{T}, m1, run, 0, uncertain",
        "",
        f"{T},m1,run,,bad",
        f'"{T}","m1","total","12.6","good"',
        f"{T},m1,product,2,good",
        f"{T},m1 ,run,1, GOOD \r",
    )
    readings = [reading for _, _, reading in file.lines()]
    assert readings == [
        (RUN, 1, Quality.GOOD, 0), (RUN, 0, Quality.UNCERTAIN, 0), (RUN, 0, Quality.BAD, 0),
        (TOTAL, 13, Quality.GOOD, 0), (3, 2, Quality.GOOD, 0), (RUN, 1, Quality.GOOD, 0),
    ]  # fmt: skip


def test_what_the_ledger_does_not_use_is_checked_and_left_out(tmp_path: Path) -> None:
    """A temperature says nothing of output: it samples no machine. `temp` is known, `tempo` is not."""
    assert list(file_of(tmp_path, f"{T},m1,temp,21.5,good").lines()) == []
    assert len(mistakes(tmp_path, f"{T},m1,tempo,21.5,good", f"{T},m1,temp,warm,good")) == 2


def test_a_machine_without_readings_has_an_empty_ledger(tmp_path: Path) -> None:
    file_of(tmp_path)
    with replayed(plan_of(), tmp_path / "r.csv") as (machine_,):
        totals = machine_.account.totals
    assert (totals["start_ns"], totals["all_ns"], totals["figures"]["oee"]["value"]) == (None, 0, None)


# ---- how uncertain a time is ----


def test_a_sixth_column_says_how_late_a_reading_may_be(tmp_path: Path) -> None:
    head = ",".join((*HEADER, LATE_MAX))
    file = file_of(tmp_path, f"{T},m1,total,5,good,1000", f"{T},m1,total,5,good,", f"{T},m1,run,,bad,7", head=head)
    assert [reading for _, _, reading in file.lines()] == [(TOTAL, 5, 0, 1000), (TOTAL, 5, 0, 0), (RUN, 0, 2, 7)]
    told = mistakes(tmp_path, f"{T},m1,total,5,good", f"{T},m1,run,1,good,late", f"{T},m1,run,1,good,-1", head=head)
    assert [text.split(": ")[0:2] for text in told] == [
        ["r.csv:2", "6 columns wanted, 5 found"], ["r.csv:3", LATE_MAX], ["r.csv:4", LATE_MAX],
    ]  # fmt: skip


# ---- several files ----


def test_a_folder_is_its_files_by_name_plain_and_packed(tmp_path: Path) -> None:
    head = ",".join(HEADER)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.csv").write_text(f"{head}\n{T},m1,total,4,good\n")
    (tmp_path / "b" / "1.csv.gz").write_bytes(gzip.compress(f"{head}\n{T},m1,total,3,good\n".encode()))
    (tmp_path / "a.csv").write_text(f"{head},{LATE_MAX}\r\n{T},m1,total,2,good,9\r\n", encoding="utf-8-sig")
    (tmp_path / "notes.txt").write_text("not a reading")
    readings = [reading for _, _, reading in ReadingsFile(tmp_path, {"m1": machine()}).lines()]
    assert [value for _, value, _, _ in readings] == [2, 3, 4]
    (tmp_path / "b" / "1.csv.gz").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ConfigError, match=r"b/1.csv.gz: this packed file is damaged"):
        list(ReadingsFile(tmp_path, {"m1": machine()}).lines())


def test_a_folder_without_readings_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no .csv or .csv.gz file"):
        list(ReadingsFile(tmp_path, {"m1": machine()}).lines())


def test_a_torn_last_line_of_a_recorded_file_says_nothing(tmp_path: Path) -> None:
    """Of a file that somebody made, a last line without its end is a line."""
    text = ",".join(HEADER) + f"\n{T},m1,total,40,good\n{T},m1,total,41,good"
    for name, values in (("00000001-20260601T000000Z.csv", [40]), ("mine.csv", [40, 41])):
        (tmp_path / name).write_text(text)
        readings = ReadingsFile(tmp_path / name, {"m1": machine()}).lines()
        assert [value for _, _, (_, value, _, _) in readings] == values
    (tmp_path / "00000001-20260601T000000Z.csv").write_text("")
    assert list(ReadingsFile(tmp_path / "00000001-20260601T000000Z.csv", {"m1": machine()}).lines()) == []


# ---- order ----


def test_samples_leave_in_order_once_the_watermark_has_passed() -> None:
    left: list[int] = []
    order = Order(10, lambda t_ns, _: left.append(t_ns), lambda *_: None)
    for t_ns in (100, 95, 90, 110, 105):
        order.add(t_ns, (0, 0, 0, 0))
    assert left == [90, 95]
    order.end()
    assert left == [90, 95, 100, 105, 110]


def test_late_readings_come_back_sorted_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.replay.order.CHUNK", 3)
    late = LateReadings(10)
    for number, t_ns in enumerate([5, 3, 9, 3, 1, 9, 5, 2]):
        late.add(t_ns, (number, -number, 2, 7), 20)
    merged = list(late.merged(1))
    expected = [(1, 4), (2, 7), (3, 1), (3, 3), (5, 0), (5, 6), (9, 2), (9, 5)]
    assert merged == [(t, (n, -n, 2, 7), 1) for t, n in expected]
    samples: list[tuple[int, list[int]]] = []
    receive = with_late(merged, lambda t_ns, readings: samples.append((t_ns, [slot for slot, *_ in readings])))
    for t_ns in (3, 6, 9):
        receive(t_ns, [(100, 0, 0, 0)])
    late.close()
    assert samples == [(1, [4]), (2, [7]), (3, [100, 1, 3]), (5, [0, 6]), (6, [100]), (9, [100, 2, 5])]


def test_late_readings_with_no_more_than_a_watermark_between_them_are_one_arrival() -> None:
    late = LateReadings(10)
    for number, newest_ns in enumerate([100, 110, 120, 131, 131, 300]):
        late.add(number, (0, 0, 0, 0), newest_ns)
    assert late.known_ns == [120, 131, 300]
    assert [[t_ns for t_ns, _, _ in late.merged(arrivals)] for arrivals in (1, 2, 3)] == [
        [0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5],
    ]  # fmt: skip
    for newest_ns in range(1000, 100_000, 1000):
        late.add(0, (0, 0, 0, 0), newest_ns)
    assert len(late.known_ns) == MOST_ARRIVALS
    assert late.known_ns[-1] == 99_000
