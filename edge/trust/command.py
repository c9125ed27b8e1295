"""`seamline trust`: which OPC UA servers this gateway believes, and its own certificate. Files only; no network."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edge.arguments import Parser
from edge.clock import SystemClock
from edge.config.columns import columns
from edge.errors import Text
from edge.trust import INSTALLED, pki_folder
from edge.trust.shelves import (
    Entry,
    Revocations,
    Shelf,
    TrustError,
    accept,
    add_file,
    entries,
    find,
    reject,
    revocations,
)
from protocols.opcua.fingerprint import pairs
from protocols.opcua.x509 import Facts

_DAY_NS = 86_400 * 1_000_000_000
_SHELVES = {
    Shelf.OWN: Text("本网关", "this gateway"),
    Shelf.TRUSTED: Text("已信任", "trusted"),
    Shelf.ISSUERS: Text("签发者（仅用于补全证书链）", "issuers (to complete chains only)"),
    Shelf.REJECTED: Text("已拒绝", "rejected"),
}


def add_arguments(parser: Parser) -> None:
    """The four verbs with their options."""
    verbs = parser.add_subparsers(
        title=str(Text("操作", "actions")), metavar=str(Text("操作", "ACTION")), dest="verb", required=True
    )
    fingerprint = Text("SHA-256 或 SHA-1 指纹，至少 16 位", "SHA-256 or SHA-1 fingerprint, 16 digits at least")
    listed = _verb(verbs, "list", Text("列出全部证书及其指纹", "every certificate with its fingerprints"))
    listed.set_defaults(what=None)
    accepted = _verb(verbs, "accept", Text("信任被拒绝的证书，或文件中的证书、CRL", "trust a refused one, or a file's"))
    accepted.add_argument(
        "what",
        metavar=str(Text("指纹|文件", "FINGERPRINT|FILE")),
        help=str(Text(f"{fingerprint.zh}；或证书、CRL 文件", f"{fingerprint.en}; or a file (certificate, CRL)")),
    )
    accepted.add_argument(
        "--issuer",
        action="store_true",
        help=str(
            Text("文件中的 CA 只用于补全证书链，本身不被信任", "the file's CA completes chains and is not trusted")
        ),
    )
    rejected = _verb(verbs, "reject", Text("不再信任一个证书", "trust a certificate no longer"))
    rejected.add_argument("what", metavar=str(Text("指纹", "FINGERPRINT")), help=str(fingerprint))
    shown = _verb(
        verbs, "show", Text("一个证书的全部内容；own = 本网关的", "all of one certificate; own = this gateway's")
    )
    shown.add_argument("what", metavar=str(Text("指纹|own", "FINGERPRINT|own")), help=str(fingerprint))


def _verb(verbs: argparse._SubParsersAction[Parser], name: str, text: Text) -> Parser:
    parser = verbs.add_parser(name, help=str(text), description=str(text))
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=INSTALLED,
        help=str(Text(f"站点配置文件（YAML），默认 {INSTALLED}", f"site file (YAML), default {INSTALLED}")),
    )
    where.add_argument(
        "--pki",
        metavar="FOLDER",
        type=Path,
        help=str(Text("证书目录，代替 -c", "folder of certificates, instead of -c")),
    )
    parser.add_argument("--json", action="store_true", help=str(Text("以 JSON 输出", "print JSON")))
    parser.add_argument("--lang", choices=("zh", "en"), help=argparse.SUPPRESS)
    return parser


def run(options: argparse.Namespace) -> int:
    """Exit status 0 done. Errors: TrustError, ConfigError."""
    pki = options.pki or _folder_of(options.config)
    now_ns = SystemClock().now_ns()
    if options.verb == "list":
        found, lists = entries(pki), revocations(pki)
        print(_document(found, lists, pki) if options.json else _listing(found, lists, pki, now_ns))
    elif options.verb == "show":
        found = find(pki, options.what)
        if not found:
            raise TrustError(
                Text(
                    "本网关还没有证书：首次加密连接时生成",
                    "this gateway has no certificate yet: the first secured connection makes it",
                )
            )
        print(_document(found, [], pki) if options.json else "\n\n".join(_whole(one, now_ns) for one in found))
    elif options.verb == "accept":
        _accept(pki, options)
    else:
        _say(reject(pki, options.what), options, _REJECTED)
    return 0


def _folder_of(config: Path) -> Path:
    from edge.config import load

    return pki_folder(load(config, os.environ))


def _accept(pki: Path, options: argparse.Namespace) -> None:
    file = Path(options.what)
    if not file.is_file():
        if options.issuer or file.name != options.what or file.suffix:  # no fingerprint has either
            raise TrustError(Text(f"没有文件 {file}", f"there is no file {file}"))
        _say(accept(pki, options.what), options, _ACCEPTED)
        return
    written = add_file(pki, file, issuer=options.issuer)
    if options.json:
        print(json.dumps({"written": [str(path) for path in written]}, ensure_ascii=False))
    else:
        print(*(Text(f"已放入 {path}", f"put into {path}") for path in written), sep="\n")


def _say(entry: Entry, options: argparse.Namespace, sentence: Text) -> None:
    print(
        _document([entry], [], options.pki) if options.json else f"{_whole(entry, SystemClock().now_ns())}\n{sentence}"
    )


_ACCEPTED = Text(
    "→ 已信任。正在运行的代理下次尝试连接时生效（最多约 40 秒），无需重启。",
    "→ trusted. A running agent notices at its next attempt, within about 40 s; no restart is needed.",
)
_REJECTED = Text(
    "→ 不再信任。正在运行的会话最多约 30 秒后结束，无需重启。",
    "→ no longer trusted. A running session ends within about 30 s; no restart is needed.",
)

# ── for people
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _listing(found: Sequence[Entry], lists: Sequence[Revocations], pki: Path, now_ns: int) -> str:
    parts = [str(Text(f"证书目录 {pki}", f"certificates in {pki}"))]
    for shelf, title in _SHELVES.items():
        here = [one for one in found if one.shelf is shelf]
        parts += ["", f"{title}: {len(here) or '–'}", *(line for one in here for line in _short(one, now_ns))]
    parts += ["", str(Text("吊销列表（CRL）", "revocation lists (CRL)")) + f": {len(lists) or '–'}"]
    parts += [f"  {_crl(one, now_ns)}" for one in lists]
    return "\n".join(parts)


def _short(entry: Entry, now_ns: int) -> Iterator[str]:
    said = entry.facts
    if said is None:
        yield str(Text(f"  {entry.path.name}：不是可读的证书", f"  {entry.path.name}: no readable certificate"))
        return
    yield f"  {said.subject}"
    yield from columns(_lines(said, now_ns)[:5])


def _whole(entry: Entry, now_ns: int) -> str:
    said = entry.facts
    if said is None:
        return f"{entry.path}: ?"
    place = str(Text("位置", "shelf")), f"{_SHELVES[entry.shelf]}  {entry.path}"
    return "\n".join([said.subject, *columns([*_lines(said, now_ns), place], indent=2)])


def _lines(said: Facts, now_ns: int) -> list[tuple[str, str]]:
    return [
        ("SHA-256", pairs(said.sha256)),
        ("SHA-1", pairs(said.sha1)),
        ("URI", ", ".join(said.uris) or "–"),
        (str(Text("主机", "hosts")), ", ".join(said.hosts) or "–"),
        (str(Text("有效期", "valid")), _validity(said, now_ns)),
        (str(Text("签发者", "issuer")), str(Text("自签名", "self-signed")) if said.self_signed else said.issuer),
        (str(Text("密钥", "key")), f"RSA {said.key_bits}, {said.signature}" if said.key_bits else "–"),
        (str(Text("用途", "kind")), str(_CA if said.authority else _APPLICATION)),
    ]


_CA = Text("证书颁发机构（CA）", "certificate authority (CA)")
_APPLICATION = Text("应用程序", "application")


def _validity(said: Facts, now_ns: int) -> str:
    days = (said.ends_ns - now_ns) // _DAY_NS
    if now_ns < said.begins_ns:
        left = Text("尚未生效", "not yet valid")
    elif days < 0:
        left = Text("已过期", "expired")
    else:
        left = Text(f"还有 {days} 天", f"{days} days left")
    return f"{_day(said.begins_ns)} – {_day(said.ends_ns)}  {left}"


def _crl(one: Revocations, now_ns: int) -> str:
    if not one.issuer:
        return str(Text(f"{one.path.name}：不是可读的 CRL", f"{one.path.name}: no readable CRL"))
    until = "–" if one.until_ns is None else _day(one.until_ns)
    late = one.until_ns is not None and one.until_ns < now_ns
    mark = str(Text("  已过期", "  out of date")) if late else ""
    said = Text(f"吊销 {one.entries} 个，有效至 {until}", f"{one.entries} revoked, good until {until}")
    return f"{one.issuer}  {said}{mark}"


def _day(instant_ns: int) -> str:
    return str(datetime.fromtimestamp(instant_ns // 1_000_000_000, UTC).date())


# ── for programs
# ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _document(found: Sequence[Entry], lists: Sequence[Revocations], pki: Path | None) -> str:
    document = {
        "pki": str(pki) if pki else None,
        "certificates": [_object(one) for one in found],
        "revocation_lists": [
            {"file": str(one.path), "issuer": one.issuer or None, "entries": one.entries, "until": _iso(one.until_ns)}
            for one in lists
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


def _object(entry: Entry) -> dict[str, object]:
    said = entry.facts
    if said is None:
        return {"shelf": entry.shelf.value, "file": str(entry.path), "readable": False}
    return {
        "shelf": entry.shelf.value,
        "file": str(entry.path),
        "readable": True,
        "sha256": said.sha256,
        "sha1": said.sha1,
        "subject": said.subject,
        "issuer": said.issuer,
        "self_signed": said.self_signed,
        "authority": said.authority,
        "uris": list(said.uris),
        "hosts": list(said.hosts),
        "valid_from": _iso(said.begins_ns),
        "valid_until": _iso(said.ends_ns),
        "key_bits": said.key_bits,
        "signature": said.signature,
    }


def _iso(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else datetime.fromtimestamp(instant_ns // 1_000_000_000, UTC).isoformat()
