"""Each action of `seamline store`: what it was asked, and its exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.clock import SystemClock
from edge.errors import StoreError, Text
from edge.outbox.facts import StoredRecord
from edge.outbox.reader import Reader
from edge.points import RecordClass
from edge.store.options import add_arguments
from edge.store.where import Where, where

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> int:
    """Do it. Exit status 0, or 1 where something was found wrong. Raises StoreError or ConfigError."""
    store = where(options.config, options.store, may_be_new=options.action == "import")
    try:
        return _ACTIONS[options.action](store, options)
    except OSError as error:  # the file of an export or an import
        raise StoreError(f"{error.filename}: {error.strerror}") from error


def _gaps(store: Where, options: argparse.Namespace) -> int:
    from edge.store.gaps import gaps

    print(
        gaps(
            store,
            from_ns=options.from_ns,
            until_ns=options.until_ns,
            limit=options.limit,
            machine=options.machine,
            only_open=options.open,
            as_json=options.json,
        )
    )
    return 0


def _stats(store: Where, options: argparse.Namespace) -> int:
    from edge.store.stats import as_json, gather, listing

    print((as_json if options.json else listing)(gather(store)))
    return 0


def _fsck(store: Where, options: argparse.Namespace) -> int:
    from edge.store.fsck import fsck

    said, whole = fsck(store, options.repair_into)
    print(said)
    return 0 if whole else 1


def _export(store: Where, options: argparse.Namespace) -> int:
    from edge.store.records import Choice, Damaged, chosen

    classes = frozenset(RecordClass[name.upper()] for name in options.classes or ()) or frozenset(RecordClass)
    choice = Choice(classes, options.machine, options.from_ns, options.until_ns)
    damaged = Damaged()
    with Reader(store.path) as reader:
        points = _write(chosen(reader, choice, damaged), options.format, options.out)
    print(Text(f"{points} 个数据点", f"{points} points"), file=sys.stderr)
    if damaged.records:
        text = Text(
            f"{damaged.records} 条记录校验不符，未导出：seamline store fsck",
            f"{damaged.records} records have a wrong checksum and were left out: seamline store fsck",
        )
        print(text, file=sys.stderr)
    return 1 if damaged.records else 0


def _write(records: Iterator[StoredRecord], form: str, out: Path | None) -> int:
    from edge.store.export import to_csv, to_lines, to_parquet

    if form == "line":
        if out is None:
            return to_lines(records, sys.stdout.buffer)
        with out.open("wb") as file:
            return to_lines(records, file)
    if out is None:
        zh, en = f"--format {form} 需要 --out 文件夹", f"--format {form} wants --out FOLDER"
        raise StoreError(Text(zh, en))
    return (to_csv if form == "csv" else to_parquet)(records, out)


def _import(store: Where, options: argparse.Namespace) -> int:
    from edge.outbox.keeper import Importer
    from edge.store.imports import batches

    now_ns = SystemClock().now_ns()
    importer = Importer(store.path)
    importer.open(now_ns)
    try:
        with sys.stdin.buffer if str(options.file) == "-" else options.file.open("rb") as lines:
            for batch in batches(lines, str(options.file), now_ns):
                importer.add(batch)
    finally:
        importer.close()
        print(
            Text(
                f"导入 {importer.added} 个数据点，{importer.known} 个早已在库",
                f"{importer.added} points imported, {importer.known} were there already",
            )
        )
    return 0


def _quarantine(store: Where, options: argparse.Namespace) -> int:
    from edge.store import quarantine

    now_ns = SystemClock().now_ns()
    if options.what == "list":
        print(quarantine.listing(store, options.sink))
    elif options.what == "retry":
        print(quarantine.retry(store, options.sink, options.ids, now_ns))
    elif not (options.ids or options.sink or options.all):
        zh, en = "请用 --id、--sink 或 --all 指明删除哪些", "say which to let go: --id, --sink or --all"
        raise StoreError(Text(zh, en))
    else:
        print(quarantine.drop(store, options.sink, options.ids, now_ns))
    return 0


_ACTIONS: dict[str, Callable[[Where, argparse.Namespace], int]] = {
    "stats": _stats,
    "gaps": _gaps,
    "fsck": _fsck,
    "export": _export,
    "import": _import,
    "quarantine": _quarantine,
}
