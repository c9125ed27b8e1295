"""The command line as a person meets it: help in their language, mistakes explained, never a traceback."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge import cli
from edge.simulate.table import _width

COMMANDS = ("run", "once", "check", "replay", "init", "schema", "simulate", "demo")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """English unless a test says otherwise, in an empty folder, on a terminal of 80 columns."""
    monkeypatch.setenv("SEAMLINE_LANG", "en")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


class Said:
    """What a command printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def seamline(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process."""

    def run(*arguments: str) -> Said:
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(status, said.out, said.err)

    return run


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


# ---- help ----


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_terminal_and_speaks_one_language(command: str, language: str, seamline: Any) -> None:
    said = seamline("--lang", language, *filter(None, [command]), "--help")
    assert said.status == 0
    lines = said.out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert max(map(_width, lines)) <= 100, "in 80 columns a Chinese text may run over, but not far"
    assert is_chinese(said.out) == (language == "zh")
    if language == "zh":
        words = ("usage:", "options:", "show this", "positional", "show program")
        assert not [word for word in words if word in said.out]
        told = [line for line in lines if line.startswith("  -")]
        assert all(is_chinese(line) or line.rstrip().endswith("FILE") or len(line) > 24 for line in told)


def test_every_command_is_listed_with_one_line(seamline: Any) -> None:
    said = seamline()
    assert said.status == 2, "nothing was asked"
    for command in COMMANDS:
        assert [line for line in said.out.splitlines() if line.split()[:1] == [command]], command


def test_version(seamline: Any) -> None:
    assert seamline("--version").out.startswith("seamline 0.")


# ---- mistakes on the command line ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], ["bogus", "choose from", "run"]),
        (["run"], ["-c/--config"]),
        (["once", "-c", "x", "--bogus"], ["--bogus"]),
        (["--lang", "fr"], ["fr", "zh"]),
        (["simulate", "--speed", "x"], ["0.001", "'x'"]),
        (["simulate", "--speed", "1/0"], ["0.001"]),
        (["simulate", "--machines", "1.5"], ["whole number"]),
        (["simulate", "--handover", "nan"], ["30"]),
        (["simulate", "--http", "nowhere"], ["HOST:PORT"]),
        (["simulate", "--machines", "3", "-c", "x"], ["--machines"]),
        (["replay", "-c", "x"], ["--readings"]),
        (["replay", "-c", "x", "--readings", "y", "--watermark", "nan"], ["86400", "'nan'"]),
        (["demo", "--machines", "0"], ["at least 1"]),
        (["demo", "--for", "soon"], ["soon"]),
        (["demo", "--influx", "localhost:8086"], ["http"]),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_where_to_read_on(
    arguments: list[str], words: list[str], seamline: Any
) -> None:
    for language in ("en", "zh"):
        said = seamline(*(["--lang", language] if "--lang" not in arguments else []), *arguments)
        assert (said.status, said.out) == (2, "")
        assert "--help" in said.err.splitlines()[-1]
        assert len(said.err.splitlines()) == 2
        if language == "en":
            assert not [word for word in words if word not in said.err], said.err


def test_wrong_arguments_are_explained_in_chinese(seamline: Any) -> None:
    assert "缺少 -c/--config" in seamline("--lang", "zh", "run").err
    assert "不认识 --bogus" in seamline("--lang", "zh", "check", "-c", "x", "--bogus").err


# ---- mistakes with files ----


def mistaken_files(folder: Path) -> dict[str, str]:
    """File name: what must be said of it."""
    (folder / "empty.yaml").touch()
    (folder / "broken.yaml").write_text("a: [1\n")
    (folder / "binary.yaml").write_bytes(b"\x00\x01\xff")
    (folder / "text.yaml").write_text("just text\n")
    (folder / "folder.yaml").mkdir()
    return {
        "missing.yaml": "No such file",
        "folder.yaml": "Is a directory",
        "empty.yaml": "is empty",
        "broken.yaml": "YAML syntax",
        "binary.yaml": "not UTF-8",
        "text.yaml": "mapping is expected",
    }


@pytest.mark.parametrize("command", ["run", "once", "check"])
def test_a_file_that_is_no_site_file(command: str, seamline: Any, tmp_path: Path) -> None:
    """Exit status 2, the file named, what to do next, and that nothing was touched."""
    for name, words in mistaken_files(tmp_path).items():
        said = seamline(command, "-c", name)
        assert said.status == 2, name
        assert said.err.startswith(name)
        assert words in said.err
        assert "nothing was started" in said.err.splitlines()[-1]
        assert ": .: " not in said.err


def test_a_file_that_cannot_be_simulated(seamline: Any, tmp_path: Path) -> None:
    for name, words in mistaken_files(tmp_path).items():
        said = seamline("simulate", "-c", name)
        assert said.status == 2, name
        assert said.err.startswith(name)
        assert words in said.err


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from edge.config.compile import load
from edge.errors import ConfigError
os.setuid(int(sys.argv[1]))
try:
    load(Path(sys.argv[2]), {})
except ConfigError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads everything: needs another user to become")
def test_a_file_nobody_may_read(tmp_path: Path) -> None:
    """As an unprivileged user: the right is named."""
    secret = tmp_path / "secret.yaml"
    secret.touch(0o600)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    said = subprocess.run(
        [sys.executable, "-Ic", UNPRIVILEGED, str(pwd.getpwnam("nobody").pw_uid), str(secret)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert said.stdout.startswith(f"{secret}: cannot read the file: Permission denied"), said.stderr


def test_a_folder_that_cannot_be_used(seamline: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot make the folder" in seamline("demo", "--keep", "file").err
    assert "cannot make the folder" in seamline("demo", "--keep", "file/below").err
    assert "is not empty" in seamline("demo", "--keep", ".").err
    assert "cannot write the samples" in seamline("init", "file").err


# ---- init, check, schema ----


def test_samples_are_written_once_load_and_fit_the_schema(seamline: Any, tmp_path: Path) -> None:
    said = seamline("init", "here")
    assert said.status == 0
    written = [tmp_path / line for line in said.out.splitlines()]
    assert all(file.is_file() for file in written)
    files = [file for file in written if file.name.startswith("site.")]
    assert {file.name for file in files} == {"site.yaml", "site.en.yaml"}
    assert {file.name for file in written} >= {"seamline.service", "line.json"}
    schema = json.loads(seamline("schema").out)
    for file in files:
        data = yaml.safe_load(file.read_text("utf-8"))
        jsonschema.validate(json.loads(json.dumps(data, default=str)), schema)  # a date is a string to JSON Schema
        checked = seamline("check", "-c", str(file))
        assert checked.status == 0, checked.err
        assert checked.out.strip()
    again = seamline("init", "here")
    assert again.status == 2
    assert "not overwritten" in again.err


def test_many_mistakes_are_reported_together(seamline: Any, tmp_path: Path) -> None:
    seamline("init", ".")
    text = (tmp_path / "site.en.yaml").read_text("utf-8")
    wrong = text.replace("template: ", "template: no-", 2) + "\nsurprise: 1\nanother: 2\n"
    (tmp_path / "site.en.yaml").write_text(wrong, "utf-8")
    said = seamline("check", "-c", "site.en.yaml")
    assert said.status == 2
    assert "problems; nothing was started" in said.err.splitlines()[-1]
    assert int(said.err.splitlines()[-1].split()[0]) >= 4


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """`seamline schema | head -1`."""
    pipe = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -Im edge.cli schema | head -1"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (pipe.returncode, pipe.stdout, pipe.stderr) == (0, "{\n", "")
