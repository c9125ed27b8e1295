"""`seamline probe`: options, and the order of things: look, ask, judge, correct, prove, write.

Exit status: 0 where every tag has one answer and reads it, 1 where one has not, 2 where nothing was begun.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge import logs
from edge.arguments import EXIT_USAGE
from edge.clock import SystemClock
from edge.config import compile_site
from edge.config.edit import Edit, EditError
from edge.config.problems import nearest
from edge.config.words import say
from edge.errors import ConfigError, SeamlineError, Text
from edge.plan import ModbusDevice, SitePlan
from edge.probe import report
from edge.probe.correction import Correction, CorrectionError, SiteText, correct, override_of, write
from edge.probe.judge import Verdict
from edge.probe.layouts import MAX_WINDOW, WINDOW
from edge.probe.look import device_error
from edge.probe.quick import MACHINE, QuickDevice, quick_site
from edge.probe.screen import Screen, can_ask
from edge.probe.session import Proof, Session
from edge.probe.shown import Shown, ShownError, parse_shown
from protocols.modbus.errors import ModbusError
from protocols.modbus.identification import Identity
from protocols.modbus.tags import DataType, ModbusTag

AGO_S = 10.0  # how long ago a value on the command line was read
TOLD_WRONG = 1


class UsageError(SeamlineError):
    """What was asked for makes no sense; says what would."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be probed."""

    plan: SitePlan
    device: ModbusDevice
    tags: tuple[ModbusTag, ...]
    shown: dict[str, Shown]  # by tag: what was said on the command line
    titles: dict[str, str]
    site: SiteText | None  # None: there is no site file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "device", nargs="?", metavar="DEVICE", help=say("站点文件中的设备 id", "id of a device of the site file")
    )
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help=say("站点配置文件", "site file (YAML)"))
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=say(
            "变量与触摸屏上的数值，可多次；398~3 表示上下 3 以内；不写 =VALUE 则逐个询问",
            "a tag and what the HMI shows, may be given often; 398~3 is give or take 3; without =VALUE it is asked for",
        ),
    )
    parser.add_argument(
        "--window",
        type=_window,
        default=WINDOW,
        metavar="N",
        help=say(f"向前后各找几个地址，默认 {WINDOW}", f"addresses to look at on both sides, default {WINDOW}"),
    )
    parser.add_argument(
        "--ago",
        type=float,
        default=AGO_S,
        metavar="S",
        help=say(
            f"数值是几秒内读的（计数在走），默认 {AGO_S:g}",
            f"the values were read at most so many seconds ago (counters move), default {AGO_S:g}",
        ),
    )
    parser.add_argument(
        "-i", "--interactive", action="store_true", help=say("逐个询问（标准输入）", "ask for values (standard input)")
    )
    parser.add_argument(
        "--identify", action="store_true", help=say("也问设备型号（43/14）", "ask who the device is, too (43/14)")
    )
    parser.add_argument(
        "--write", action="store_true", help=say("把改正写入站点文件", "write the correction into the site file")
    )
    parser.add_argument(
        "--write-to", type=Path, metavar="FILE", help=say("把改正后的站点写到另一文件", "write it to another file")
    )
    parser.add_argument("--json", action="store_true", help=say("以 JSON 输出", "print JSON"))
    quick = parser.add_argument_group(say("没有站点文件时", "without a site file"))
    quick.add_argument("--host", metavar="HOST", help=say("主机名或 IP", "host name or IP address"))
    quick.add_argument("--port", type=int, metavar="N", help=say("默认 502", "default 502"))
    quick.add_argument("--serial", metavar="PATH", help=say("串口，代替 --host", "serial port, instead of --host"))
    quick.add_argument("--baud", type=int, default=19_200, metavar="N", help=say("默认 19200", "default 19200"))
    quick.add_argument("--parity", choices=("N", "E", "O"), default="E", help=say("默认 E", "default E"))
    quick.add_argument("--framing", choices=("mbap", "rtu", "ascii"), help=say("默认 mbap", "default mbap"))
    quick.add_argument("--unit", type=int, metavar="N", help=say("站号，默认 1", "unit id, default 1"))
    quick.add_argument(
        "--template",
        default="generic-modbus",
        metavar="BRAND",
        help=say("PLC 品牌，地址即可写 D1000", "PLC brand: addresses may then be written D1000"),
    )
    quick.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="ADDRESS=VALUE",
        help=say("地址与触摸屏上的数值，可多次", "an address and what the HMI shows, may be given often"),
    )
    quick.add_argument("--type", metavar="TYPE", help=say("应有的类型，默认 u16 或 bool", "expected type"))
    quick.add_argument("--scale", type=float, metavar="X", help=say("倍率", "scale"))


def _window(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_WINDOW:
        said = Text(f"应为 0–{MAX_WINDOW}，实为 {text!r}", f"0 to {MAX_WINDOW} expected, got {text!r}")
        raise argparse.ArgumentTypeError(str(said))
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Probe. Raises ConfigError, DeviceError."""
    logs.configure("text", level=logging.ERROR)
    try:
        job = _quick_job(options) if options.config is None else _site_job(options)
    except UsageError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    return asyncio.run(_probe(job, options))


# ---- what is asked for ----


def _site_job(options: argparse.Namespace) -> Job:
    if options.device is None or options.at or options.host or options.serial:
        raise UsageError(
            Text(
                "用法：seamline probe -c 站点文件 设备 --tag 变量=数值；没有站点文件时用 --host 和 --at",
                "give seamline probe -c FILE DEVICE --tag NAME=VALUE; --host and --at are for use without a site file",
            )
        )
    path: Path = options.config
    text = _text_of(path)
    plan = compile_site(text, path, os.environ)
    device = next((d for d in plan.devices if d.id == options.device), None)
    if device is None:
        known = ", ".join(d.id for d in plan.devices)
        given = options.device
        raise UsageError(
            Text(f"没有设备 {given!r}；已配置：{known}", f"no device {given!r}; the site file has: {known}")
        )
    if not isinstance(device, ModbusDevice):
        raise UsageError(
            Text(
                f"{device.id} 走 OPC UA：值自带类型与名称，无需核对字序；用 seamline once 查看",
                f"{device.id} speaks OPC UA: its values have types and names, there is no layout to probe; "
                "see them with seamline once",
            )
        )
    named = [_named(given, device) for given in options.tag]
    tags = tuple(dict.fromkeys(tag for tag, _ in named)) or _by_use(plan, device)
    shown = {tag.name: _shown(said, tag) for tag, said in named if said is not None}
    return Job(plan, device, tags, shown, {}, SiteText(text, path, os.environ))


def _quick_job(options: argparse.Namespace) -> Job:
    if options.device is not None or options.tag or (options.host is None) == (options.serial is None):
        raise UsageError(
            Text(
                "要么 -c 站点文件 设备 --tag 变量=数值，要么 --host 主机（或 --serial 串口）--at 地址=数值",
                "either -c FILE DEVICE --tag NAME=VALUE, or --host HOST (or --serial PATH) --at ADDRESS=VALUE",
            )
        )
    if options.write or options.write_to or not options.at:
        raise UsageError(
            Text("没有站点文件时：至少一个 --at，且不能 --write", "without a site file: give --at, and no --write")
        )
    said = [given.partition("=") for given in options.at]
    wire = QuickDevice(
        options.host, options.port, options.serial, options.baud, options.parity, options.framing, options.unit,
        options.template,
    )  # fmt: skip
    plan = quick_site(wire, [address for address, _, _ in said], options.type, options.scale)
    (device,) = plan.devices
    assert isinstance(device, ModbusDevice)
    by_name = {tag.name: tag for tag in device.tags}
    tags = [by_name[f"{MACHINE}.v{number}"] for number in range(1, len(said) + 1)]
    shown = {tag.name: _shown(value, tag) for tag, (_, equals, value) in zip(tags, said, strict=True) if equals}
    titles = {tag.name: address for tag, (address, _, _) in zip(tags, said, strict=True)}
    return Job(plan, device, tuple(tags), shown, titles, None)


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(Text(f"读不了 {path}：{error}", f"cannot read {path}: {error}")) from error


def _named(given: str, device: ModbusDevice) -> tuple[ModbusTag, str | None]:
    """The tag that `machine.total=5` or `total=5` means, and what was said of it."""
    name, equals, value = given.partition("=")
    fitting = [tag for tag in device.tags if tag.name == name or tag.name.partition(".")[2] == name]
    if not fitting:
        near = nearest(name, [known for tag in device.tags for known in (tag.name, tag.name.partition(".")[2])])
        listed = ", ".join(tag.name for tag in device.tags)
        hint = Text(f"可选：{listed}", f"there are: {listed}")
        if near is not None:
            hint = Text(f"是否想写 {near}？", f"did you mean {near}?")
        zh, en = f"{device.id} 上没有名为 {name!r} 的变量", f"{device.id} has no tag called {name!r}"
        raise UsageError(Text(f"{zh}；{hint.zh}", f"{en}; {hint.en}"))
    if len(fitting) > 1:
        known = ", ".join(tag.name for tag in fitting)
        zh = f"{device.id} 上名为 {name!r} 的变量有 {len(fitting)} 个；可选：{known}"
        raise UsageError(Text(zh, f"{device.id} has {len(fitting)} tags called {name!r}; there are: {known}"))
    return fitting[0], value if equals else None


def _shown(typed: str, tag: ModbusTag) -> Shown:
    try:
        return parse_shown(typed, tag.type)
    except ShownError as error:
        raise UsageError(Text(f"{tag.name}：{error.text.zh}", f"{tag.name}: {error.text.en}")) from error


def _by_use(plan: SitePlan, device: ModbusDevice) -> tuple[ModbusTag, ...]:
    """All tags, those first that tell most: counters, other numbers, words of bits."""
    counted = {
        device.tags[machine.signals[rule.signal].tag].name
        for machine in plan.machines
        for rule in machine.counters
        if machine.signals[rule.signal].device == device.index
    }
    return tuple(
        sorted(device.tags, key=lambda tag: (tag.name not in counted, tag.type is DataType.BOOL, -tag.registers))
    )


# ---- the probe ----


async def _probe(job: Job, options: argparse.Namespace) -> int:
    interactive = options.interactive or (not options.json and can_ask())
    if not job.shown and not interactive:
        zh = "没有数值：用 --tag 变量=数值（或 --at 地址=数值），或在终端上运行"
        print(Text(zh, "no value to go by: give --tag NAME=VALUE (or --at ADDRESS=VALUE)"), file=sys.stderr)
        return EXIT_USAGE
    tags = job.tags if interactive else tuple(tag for tag in job.tags if tag.name in job.shown)
    session = Session(job.plan, job.device, tags, SystemClock(), options.window, job.titles)
    out = sys.stderr if options.json else sys.stdout
    try:
        await session.connect()
        identity = await _identify(session) if options.identify else None
        print(report.heading(job.device, identity), file=out, flush=True)
        await session.look()
        for subject in session.subjects:
            if subject.tag.name in job.shown:
                session.round(subject, job.shown[subject.tag.name], ago_s=options.ago)
        session.judge()
        print(report.cost_line(session), file=out)
        for subject in session.subjects:
            if subject.judgement is not None:
                print("\n".join(["", *report.subject_lines(subject, job.device)]), file=out, flush=True)
        if interactive:
            await Screen(session, sys.stdin, out, options.ago).ask(
                lambda subject: subject.judgement is None or subject.judgement.verdict is not Verdict.ONE
            )
        outcome = await _correct(job, session, identity)
    except ModbusError as error:
        raise device_error(job.device, error) from error
    finally:
        session.close()
    return _finish(job, outcome, options)


async def _identify(session: Session) -> Identity | None:
    """Who the device says it is; None where it does not tell."""
    try:
        return await session.surroundings.identify()
    except ModbusError:
        if not session.surroundings.connected:
            await session.connect()
        return None


async def _correct(job: Job, session: Session, identity: Identity | None) -> report.Outcome:
    found = session.found()
    correction, trouble = None, ""
    by_hand: tuple[Edit, ...] = ()
    wrong = [one for one in found if one.layout.cost]
    if wrong and job.site is not None:
        try:
            correction = correct(job.site, job.device, found)
        except (EditError, CorrectionError) as error:
            trouble = str(error)
        except ConfigError as error:
            text = Text("改正后的站点文件不成立：", "the site file would not stand with the correction:")
            trouble = f"{text}\n{error}"
    if wrong and correction is None:
        by_hand = tuple(
            Edit((*name.partition(".")[::2], key), value)
            for name, fields in (override_of(one, job.device.addresses) for one in wrong)
            for key, value in fields
        )
    proofs: tuple[Proof, ...] = ()
    if found and (correction is not None or not wrong):
        proofs = tuple(await session.proof(correction))
    return report.Outcome(session, identity, correction, by_hand, proofs, trouble)


def _finish(job: Job, outcome: report.Outcome, options: argparse.Namespace) -> int:
    correction = outcome.correction
    if correction is not None and (options.write or options.write_to) and all(one.holds for one in outcome.proofs):
        written, trouble = _written(job, correction, options)
        outcome = replace(outcome, written=written, trouble=trouble)
    if options.json:
        print(json.dumps(report.document(outcome, job.plan), ensure_ascii=False, indent=2))
        return 0 if outcome.good else TOLD_WRONG
    for line in _closing(job, outcome, options):
        print(line)
    return 0 if outcome.good else TOLD_WRONG


def _written(job: Job, correction: Correction, options: argparse.Namespace) -> tuple[str, str]:
    """Where it was written to, or why it was not."""
    assert job.site is not None
    target: Path = options.write_to or job.site.path
    if target == job.site.path and _text_of(target) != job.site.text:
        zh, en = "站点文件在此期间被改动，未写入；请再运行一次", "the site file was changed meanwhile; run it again"
        return "", f"{target}: {Text(zh, en)}"
    try:
        write(target, correction.text)
    except OSError as error:
        return "", str(Text(f"写不了 {target}：{error.strerror}", f"cannot write {target}: {error.strerror}"))
    return str(target), ""


def _closing(job: Job, outcome: report.Outcome, options: argparse.Namespace) -> Sequence[str]:
    lines: list[str] = []
    if outcome.correction is not None:
        lines += ["", *report.correction_lines(outcome.correction, job.plan, job.device)]
    if outcome.trouble:
        lines += ["", f"✗ {outcome.trouble}"]
    if outcome.by_hand:
        lines += ["", say("请手工写入：", "write by hand:"), *report.by_hand_lines(outcome.by_hand)]
    if outcome.proofs:
        lines += ["", *report.proof_lines(outcome.proofs, outcome.correction)]
    if outcome.written:
        told = say(f"已写入 {outcome.written}", f"written: {outcome.written}")
        lines += ["", told + say("；正在运行的代理收到 SIGHUP 后采用", "; a running agent takes it on SIGHUP")]
    elif outcome.correction is not None and not (options.write or options.write_to):
        lines += ["", say("加 --write 写入站点文件", "add --write to write it into the site file")]
    return lines
