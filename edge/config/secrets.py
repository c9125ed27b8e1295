"""`${NAME}` and `{file: path}` become values; from then on nobody may print them.

Rules.
* `${NAME}` is the environment variable; `${NAME:-default}` falls back; `$${` is a literal `${`.
* `{file: /run/secrets/x}` under one of SECRET_KEYS is the content of that file, less its last line break.
* A missing variable or an unreadable file is a problem like any other: it names the variable or file, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edge.config.document import Data, Document
from edge.config.problems import KeyPath, Problems, suggest
from edge.errors import Text

SECRET_KEYS = ("token", "password", "user", "key_password", "user_key_password")
_MAX_SECRET_BYTES = 64 * 1024
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def resolve(document: Document, folder: Path, environ: Mapping[str, str], problems: Problems) -> Document:
    """The document with every secret in place. `folder` is where relative secret files are looked for."""
    resolver = _Resolver(document, folder, environ, problems)
    return Document(document.file, resolver.value(document.data, ()), document.places)


class _Resolver:
    def __init__(self, document: Document, folder: Path, environ: Mapping[str, str], problems: Problems) -> None:
        self._document = document
        self._folder = folder
        self._environ = environ
        self._problems = problems

    def value(self, data: Data, path: KeyPath) -> Data:
        if isinstance(data, str):
            return _VARIABLE.sub(lambda match: self._variable(match, path), data)
        if isinstance(data, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(data)]
        if isinstance(data, dict):
            if path and path[-1] in SECRET_KEYS and set(data) == {"file"}:
                return self._file(self.value(data["file"], path), path)
            return {key: self.value(item, (*path, key)) for key, item in data.items()}
        return data

    def _variable(self, match: re.Match[str], path: KeyPath) -> str:
        if match[0] == "$${":
            return "${"
        name = _NAME.fullmatch(match[1])
        if name is None or not match[2]:
            zh, en = "应写作 ${NAME} 或 ${NAME:-默认值}", "${NAME} or ${NAME:-default} is expected"
            self._add(path, Text(zh, en), Text("要写字面的 ${ 请用 $${", "for a literal ${ write $${"))
            return ""
        found = self._environ.get(name[1], name[2])
        if found is None:
            similar = [known for known in self._environ if name[1].casefold()[:3] == known.casefold()[:3]]
            what = Text(f"环境变量 {name[1]} 未设置", f"environment variable {name[1]} is not set")
            zh = f"设置它，或写默认值：${{{name[1]}:-…}}"
            hint = Text(zh, f"set it, or give a default: ${{{name[1]}:-...}}")
            self._add(path, what, suggest(name[1], similar) if similar else hint)
            return ""
        return found

    def _file(self, name: Data, path: KeyPath) -> Data:
        if not isinstance(name, str) or not name:
            self._add(path, Text("应为文件路径", "the path of a file is expected"))
            return None
        file = self._folder / name
        self._problems.files.append(str(file))
        try:
            with file.open("rb") as stream:
                content = stream.read(_MAX_SECRET_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "UTF-8"
            what = Text(f"读不了密钥文件 {file}（{reason}）", f"cannot read the secret file {file} ({reason})")
            hint = Text("文件须存在，且运行用户可读", "it must exist and be readable by the user the agent runs as")
            self._add(path, what, hint)
            return None
        secret = content.removesuffix("\n").removesuffix("\r")
        if not secret:
            self._add(path, Text(f"密钥文件 {file} 是空的", f"the secret file {file} is empty"))
            return None
        return secret

    def _add(self, path: KeyPath, what: Text, hint: Text | None = None) -> None:
        self._problems.add(self._document.place(path), what, hint)
