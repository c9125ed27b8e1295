"""What can be asked of `seamline demo`: its arguments, checked and frozen."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from edge.errors import Text
from edge.plan import InfluxSink

PAGE_PORT = 8080


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    for_s: float | None
    machines: int
    speed: float
    seed: int
    influx: InfluxSink | None
    as_json: bool
    page_port: int | None
    keep: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `seamline demo`."""
    parser.add_argument(
        "--for",
        dest="for_s",
        metavar="60s",
        type=_duration,
        help=str(Text("运行多久（如 60s、5m），默认直到 Ctrl-C", "how long (60s, 5m); default: until Ctrl-C")),
    )
    parser.add_argument(
        "--machines",
        type=_positive_int,
        default=12,
        metavar="N",
        help=str(Text("机台数，默认 12", "number of machines, default 12")),
    )
    parser.add_argument(
        "--speed",
        type=_positive,
        default=20.0,
        metavar="X",
        help=str(Text("机台比真实快多少倍，默认 20", "how much faster than real the machines run, default 20")),
    )
    parser.add_argument("--seed", type=int, default=1, help=str(Text("随机种子，默认 1", "random seed, default 1")))
    parser.add_argument(
        "--influx",
        metavar="URL",
        type=_url,
        help=str(Text("同时送往这个 InfluxDB 并查询回读", "also deliver to this InfluxDB and read back by query")),
    )
    parser.add_argument(
        "--influx-database",
        default="seamline",
        metavar="NAME",
        help=str(Text("InfluxDB 1.x 数据库名", "database, InfluxDB 1.x")),
    )
    parser.add_argument(
        "--influx-org",
        default="",
        metavar="ORG",
        help=str(
            Text(
                "InfluxDB 2.x 组织（令牌取自环境变量 INFLUX_TOKEN）",
                "organisation, InfluxDB 2.x (token from INFLUX_TOKEN)",
            )
        ),
    )
    parser.add_argument(
        "--influx-bucket",
        default="seamline",
        metavar="NAME",
        help=str(Text("InfluxDB 2.x 存储桶", "bucket, InfluxDB 2.x")),
    )
    parser.add_argument(
        "--page-port",
        type=int,
        metavar="PORT",
        help=str(
            Text(f"页面端口，默认 {PAGE_PORT}，被占用时另选", f"port of the page, default {PAGE_PORT} or a free one")
        ),
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help=str(Text("把存储、日志和站点文件留在此目录", "keep store, logs and site files in this folder")),
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help=str(Text("标准输出只有一个 JSON 文档", "one JSON document on stdout, the rest on stderr")),
    )


def options_of(arguments: argparse.Namespace) -> Options:
    """The arguments as one frozen value."""
    return Options(
        for_s=arguments.for_s,
        machines=arguments.machines,
        speed=arguments.speed,
        seed=arguments.seed,
        influx=_sink(arguments),
        as_json=arguments.json,
        page_port=arguments.page_port,
        keep=arguments.keep,
    )


def _sink(arguments: argparse.Namespace) -> InfluxSink | None:
    if not arguments.influx:
        return None
    if arguments.influx_org:
        return InfluxSink(
            id="influx",
            version=2,
            url=arguments.influx,
            org=arguments.influx_org,
            bucket=arguments.influx_bucket,
            token=os.environ.get("INFLUX_TOKEN", ""),
        )
    return InfluxSink(
        id="influx",
        version=1,
        url=arguments.influx,
        database=arguments.influx_database,
        user=os.environ.get("INFLUX_USER", ""),
        password=os.environ.get("INFLUX_PASSWORD", ""),
    )


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(
            str(Text(f"应为 http(s)://主机:端口：{text}", f"http(s)://host:port is expected: {text}"))
        )
    return text


def _duration(text: str) -> float:
    """`90`, `60s`, `5m`, `1h` in seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    return _positive(number) * unit


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(str(Text(f"应为正数：{text}", f"a positive number is expected: {text}")))
    return number


def _positive_int(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            str(Text(f"应为不小于 1 的整数：{text}", f"a whole number of at least 1 is expected: {text}"))
        )
    return int(text)
