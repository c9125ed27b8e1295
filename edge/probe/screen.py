"""The conversation at the HMI: candidates that refresh while a person reads, a prompt, and what the value told.

Theory. A person stands before the panel with a notebook in the other hand. So one tag is asked for at a time; what its
layouts give now is refreshed once a second above the prompt, so that a counter can be seen counting in the right line
before a word is typed; and a value that leaves several layouts asks for another one at once.

Rules.
* On a terminal the table is drawn over itself, so a row is never wider than the terminal and the table never higher;
  into a pipe it is written once per question, and nothing is escaped.
* The value counts as read at any time since `ago_s` before it was typed, or since the question.
* Enter leaves the tag as it is, `r` forgets what was typed of it, `q` ends the questions; so does the end of the input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TextIO

from edge.config.columns import columns, cut
from edge.config.words import say
from edge.probe.judge import Glance, Verdict
from edge.probe.report import candidate_row, subject_lines
from edge.probe.session import Session, Subject
from edge.probe.shown import ShownError, parse_shown
from protocols.modbus.tags import DataType

REFRESH_S = 1.0
ROWS = 10
_SAVE, _RESTORE, _UP, _CLEAR = "\x1b7", "\x1b8", "\x1b[{}A\r", "\x1b[2K"


class Lines:
    """Lines of an input, awaited; a regular file, which is always ready, is read at once."""

    def __init__(self, stream: TextIO) -> None:
        self._fd = stream.fileno()
        self._buffer = b""
        self._ended = False
        self._news = asyncio.Event()
        try:
            asyncio.get_running_loop().add_reader(self._fd, self._read)
            self._watched = True
        except OSError:  # epoll takes no regular files
            self._watched = False

    async def next(self, patience_s: float | None) -> str | None:
        """The next line without its end; None where none came in time. Raises EOFError."""
        while b"\n" not in self._buffer:
            if self._ended and not self._buffer:
                raise EOFError
            if self._ended:
                self._buffer += b"\n"
            elif not self._watched:
                self._read()
            else:
                self._news.clear()
                try:
                    async with asyncio.timeout(patience_s):
                        await self._news.wait()
                except TimeoutError:
                    return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace").rstrip("\r")

    def close(self) -> None:
        """Look no more."""
        if self._watched:
            asyncio.get_running_loop().remove_reader(self._fd)

    def _read(self) -> None:
        data = os.read(self._fd, 4096)
        self._ended = not data
        self._buffer += data
        self._news.set()
        if self._ended and self._watched:
            self.close()
            self._watched = False


class Screen:
    """Asks for the subjects of a session, one after another."""

    def __init__(self, session: Session, stream: TextIO, out: TextIO, ago_s: float) -> None:
        self._session = session
        self._stream = stream
        self._lines: Lines | None = None
        self._out = out
        self._ago_s = ago_s
        self._drawn = out.isatty() and stream.isatty()
        self._glances: deque[Glance] = deque()

    async def ask(self, wanted: Callable[[Subject], bool]) -> None:
        """Until every wanted subject is answered or left. Raises ModbusError where the device is lost."""
        self._say(
            say(
                "照触摸屏上的数字输入。回车：跳过；r：重来；q：结束",
                "type what the HMI shows. Enter: leave it; r: begin this tag anew; q: end",
            )
        )
        self._lines = Lines(self._stream)
        try:
            for subject in self._session.subjects:
                if wanted(subject) and not await self._ask_one(subject):
                    return
        except EOFError:
            self._say("")
        finally:
            self._lines.close()

    async def _ask_one(self, subject: Subject) -> bool:
        """False where the person wants no more questions."""
        while True:
            line = await self._read(subject)
            if line == "q":
                return False
            if not line:
                return True
            if line == "r":
                subject.rounds.clear()
                subject.judgement = None
                continue
            try:
                shown = parse_shown(line, subject.tag.type)
            except ShownError as error:
                self._say(f"  {error.text}")
                continue
            await self._session.look()
            self._session.round(subject, shown, self._glance_before(subject))
            self._session.judge()
            self._say("\n".join(subject_lines(subject, self._session.device)))
            if subject.judgement is not None and subject.judgement.verdict is Verdict.ONE:
                return True

    async def _read(self, subject: Subject) -> str:
        """One line; meanwhile the table lives."""
        self._glances.clear()
        await self._look(subject)
        table = self._table(subject)
        self._say("\n".join(["", self._title(subject), *table]))
        self._out.write(say("  触摸屏显示：", "  the HMI shows: "))
        self._out.flush()
        assert self._lines is not None
        while True:
            line = await self._lines.next(REFRESH_S if self._drawn else None)
            if line is not None:
                return line.strip()
            await self._look(subject)
            self._redraw(self._table(subject), len(table))

    async def _look(self, subject: Subject) -> None:
        await self._session.look()
        assert subject.last is not None
        self._glances.append(subject.last)
        while len(self._glances) > 2 and self._glances[-1].at_s - self._glances[1].at_s > self._ago_s:
            self._glances.popleft()

    def _glance_before(self, subject: Subject) -> Glance | None:
        """What it gave when the person may have read: at most `ago_s` earlier, or when the question was asked."""
        if subject.tag.type is DataType.BOOL:
            return None
        return self._glances[0]

    def _title(self, subject: Subject) -> str:
        return f"{subject.title}  " + say("（候选，随时刷新）", "(candidates, as they are now)")

    def _table(self, subject: Subject) -> list[str]:
        """What is left of its layouts, or the nearest of them."""
        glance = subject.last
        assert glance is not None
        if subject.judgement is not None and subject.judgement.fits:
            places = [fit.place for fit in subject.judgement.fits]
        else:
            own = subject.tag.type
            places = [i for i, one in enumerate(subject.layouts) if one.tag.type is own and one.decade == 1.0]
        width, height = self._size()
        rows = [
            candidate_row(subject.layouts[i], glance.values[i], glance.raws[i], self._session.device)
            for i in places
            if glance.raws[i]
        ][: max(1, min(ROWS, height - 2))]
        lines = columns(rows) if rows else [say("    （周围的地址均被拒绝）", "    (every address around is refused)")]
        return [cut(line, width - 1) for line in lines]

    def _size(self) -> tuple[int, int]:
        """Of the terminal, in characters and lines; a pipe takes anything."""
        if not self._drawn:
            return 1000, 1000
        size = os.get_terminal_size(self._out.fileno())
        return size.columns or 80, size.lines or 24

    def _redraw(self, table: list[str], height: int) -> None:
        """Over the old table; the cursor, and what is being typed, stay."""
        rows = [*table, *[""] * (height - len(table))][:height]
        drawn = "".join(f"{_CLEAR}{row}\r\n" for row in rows)
        self._out.write(_SAVE + _UP.format(height) + drawn + _RESTORE)
        self._out.flush()

    def _say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def can_ask() -> bool:
    """Whether a person sits at the other end."""
    return sys.stdin.isatty() and sys.stdout.isatty()
