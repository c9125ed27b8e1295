"""Logs as a machine and as a person read them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from edge import logs
from edge.logs import facts

Stderr = Callable[[], str]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """What was written to stderr; the root logger is ours for the time of a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {
        name: logging.getLogger(name).level for name in ("asyncua", "aiohttp", "urllib3", "asyncio", "pymodbus")
    }
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)


def test_json_is_one_object_a_line_in_a_fixed_order(stderr: Stderr) -> None:
    logs.configure("json")
    logging.getLogger("edge.hub").warning("device down", extra=facts(device="plc-1", detail="两\n行", at=1.5))
    (line,) = stderr().splitlines()
    document = json.loads(line, parse_constant=pytest.fail)
    assert list(document) == ["time", "level", "logger", "event", "device", "detail", "at"]
    assert document["time"].endswith("+00:00")
    assert (document["level"], document["event"], document["detail"]) == ("warning", "device down", "两\n行")


def test_json_keeps_a_trace_in_the_line(stderr: Stderr) -> None:
    logs.configure("json")
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("edge").exception("task failed")
    (line,) = stderr().splitlines()
    assert "ValueError: odd" in json.loads(line)["error"]


def test_a_fact_cannot_hide_what_every_line_has(stderr: Stderr) -> None:
    logs.configure("json")
    logging.getLogger("edge").info("page", extra=facts(event="x", time="y", level="z"))
    document = json.loads(stderr())
    assert (document["event"], document["level"]) == ("page", "info")


def test_text_is_a_sentence_a_person_can_read(stderr: Stderr) -> None:
    """Short facts in a row; long ones on lines of their own."""
    logs.configure("text")
    problems = ["site.yaml:3: machines[0]: unknown key\n    → did you mean x", "site.yaml:9: page: not a number"]
    logging.getLogger("edge").error(
        "reload refused", extra=facts(device="plc-1", detail="the site file has errors", problems=problems)
    )
    first, *rest = stderr().splitlines()
    assert first.split(" ", 1)[1] == "error   reload refused  device=plc-1  the site file has errors"
    assert rest == [
        "    site.yaml:3: machines[0]: unknown key",
        "        → did you mean x",
        "    site.yaml:9: page: not a number",
    ]


def test_text_shows_a_trace_below(stderr: Stderr) -> None:
    logs.configure("text")
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("edge").exception("task failed", extra=facts(task="page"))
    first, *rest = stderr().splitlines()
    assert first.endswith("task failed  task=page")
    assert rest[-1] == "ValueError: odd"


@pytest.mark.parametrize("library", ["asyncua", "asyncua.client", "pymodbus", "aiohttp.access", "asyncio"])
def test_libraries_do_not_tell_their_own_story(library: str, stderr: Stderr) -> None:
    logs.configure("text")
    logging.getLogger(library).info("chatter")
    assert stderr() == ""
