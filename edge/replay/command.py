"""`seamline replay`: what the person asked for, printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edge.config import load
from edge.errors import Text
from edge.machines.signals import used_signals
from edge.outbox.reader import Reader
from edge.plan import SitePlan
from edge.replay import table
from edge.replay.account import Account
from edge.replay.against import Comparison
from edge.replay.document import failure_document
from edge.replay.lines import lines_document, site_document
from edge.replay.passes import Replayed, replayed
from edge.replay.spool import to_json

Write = Callable[[str], object]
NS_PER_S = 1_000_000_000
DIFFERS = 1


def run(
    config: Path,
    readings: Path,
    *,
    against: Path | None = None,
    watermark_s: float | None = None,
    as_json: bool,
    figures: bool = False,
) -> int:
    """Exit status 0, or 1 where `against` differs. Raises ConfigError for mistakes in either file, StoreError."""
    plan = load(config, os.environ)
    watermark_ns = None if watermark_s is None else round(watermark_s * NS_PER_S)
    with replayed(plan, readings, watermark_ns, as_planned=against is not None) as machines:
        _note(machines)
        write = sys.stdout.write
        if against is not None:
            return _compare(plan, machines, against, write, as_json=as_json)
        if as_json:
            write_ledgers([machine.account for machine in machines], write)
        else:
            write(table.ledgers(plan, [machine.account for machine in machines], figures=figures))
    return 0


def _note(machines: Iterable[Replayed]) -> None:
    """What people should know beside the numbers; not part of the output."""
    for machine in machines:
        account, name = machine.account, machine.account.machine.id
        if account.span is None:
            print(Text(f"{name}：文件中没有读数", f"{name}: the file has no reading of it"), file=sys.stderr)
        elif machine.absent:
            names = ", ".join(machine.absent)
            zh = f"{name}：文件中从未出现 {names}；视为机器没有这些信号，如同站点文件中写 null"
            en = f"{name}: the file never gives {names}: taken as not there, as if null in the site file"
            print(Text(zh, en), file=sys.stderr)
        elif unread := account.unread(used_signals(account.machine)):
            names = ", ".join(account.machine.signals[signal].name for signal in unread)
            zh = f"{name}：记录中从未读到 {names}；只有它们能说明的状态为未知"
            en = f"{name}: {names} were never read; what only they can tell is unknown"
            print(Text(zh, en), file=sys.stderr)
        if machine.late:
            zh = (
                f"{name}：{machine.late} 个读数晚于水位线，分 {machine.arrivals} 批到达；受影响的窗口 revision 逐批加 1"
            )
            en = (
                f"{name}: readings later than the watermark: {machine.late}, arrivals: {machine.arrivals}; windows an "
                "arrival changed have the next revision"
            )
            print(Text(zh, en), file=sys.stderr)


# ---- for programs ----


def write_ledgers(accounts: Sequence[Account], write: Write) -> None:
    """One JSON document, one row a line: the same readings give the same bytes."""
    write('{"machines": {')
    for number, account in enumerate(accounts):
        write(",\n" if number else "\n")
        write(f'{json.dumps(account.machine.id)}: {{"windows": ')
        _write_list(account.window_lines, write)
        write(', "shifts": ')
        _write_list(map(to_json, account.shift_documents), write)
        write(', "stops": ')
        _write_list(account.stops, write)
        write(', "failures": ')
        _write_list((to_json(failure_document(failure)) for failure in account.record.failures), write)
        write(', "corrections": ')
        _write_list(account.corrections, write)
        write(f', "totals": {to_json(account.totals)}}}')
    write('\n}, "lines": {')
    for number, (line, document) in enumerate(lines_document(accounts).items()):
        write(",\n" if number else "\n")
        write(f"{json.dumps(line)}: {to_json(document)}")
    write(f'\n}}, "site": {to_json(site_document(accounts))}}}\n')


def _write_list(lines: Iterable[str], write: Write) -> None:
    between = "[\n"
    for line in lines:
        write(between)
        write(line)
        between = ",\n"
    write("[]" if between == "[\n" else "\n]")


# ---- against what was stored ----


def _compare(plan: SitePlan, machines: Iterable[Replayed], store: Path, write: Write, *, as_json: bool) -> int:
    with Reader(store) as reader:
        comparisons = [Comparison(machine.account, reader) for machine in machines]
        if as_json:
            _write_comparisons(comparisons, write)
        else:
            for comparison in comparisons:
                table.write_comparison(plan, comparison, write)
    return DIFFERS if any(comparison.different for comparison in comparisons) else 0


def _write_comparisons(comparisons: Iterable[Comparison], write: Write) -> None:
    write('{"machines": {')
    for number, comparison in enumerate(comparisons):
        write(",\n" if number else "\n")
        write(f'{json.dumps(comparison.account.machine.id)}: {{"differences": ')
        _write_list((to_json(difference.document()) for difference in comparison.differences()), write)
        write(f', "compared": {comparison.compared}, "same": {comparison.same}')
        write(f', "stored_config_versions": {json.dumps(sorted(comparison.config_versions))}}}')
    write("\n}}\n")
