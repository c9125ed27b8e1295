"""Structured logs on stderr: one JSON object a line for machines, or one readable line for people.

An event is a message and facts: `log.info("device down", extra=facts(device="plc-1", reason="timeout"))`. Libraries
that log their own story (pymodbus mixes the frames of all devices, asyncua tells every publish) are kept to warnings;
what matters of them is said by us, with the device's name.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_KEY = "seamline_facts"


def facts(**values: object) -> dict[str, Mapping[str, object]]:
    """The `extra` of a log call."""
    return {_KEY: values}


class JsonFormatter(logging.Formatter):
    """{"time", "level", "logger", "event", …facts, "error"}; keys in this order."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        document |= {key: value for key, value in _facts(record).items() if key not in document}
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """`time level event  key=value …  sentence`, local time; lists and further lines of a sentence indented below."""

    def format(self, record: logging.LogRecord) -> str:
        """One readable line; a traceback below it where there is one."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        values = dict(_facts(record))
        sentence, *below = str(values.pop("detail", "")).split("\n")
        for key in [key for key, value in values.items() if isinstance(value, (list, tuple))]:
            below += [line for item in values.pop(key) for line in str(item).split("\n")]
        pairs = " ".join(f"{key}={value}" for key, value in values.items())
        first = "  ".join(filter(None, (f"{time} {record.levelname.lower():7} {record.getMessage()}", pairs, sentence)))
        trace = [self.formatException(record.exc_info)] if record.exc_info else []
        return "\n".join([first, *(f"    {line}" for line in below), *trace])


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    known: Mapping[str, Any] = getattr(record, _KEY, {})
    return known


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Send all logs to stderr as "json" or "text"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("asyncua", "aiohttp", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
