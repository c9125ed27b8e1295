"""Change single keys in the text of a YAML file; everything else stays as it is, byte for byte.

Theory. A site file is somebody's work: comments, blank lines, quotes and the order of keys say things that no data
model keeps. So the text is parsed for positions only. A key that is there gets another scalar in place of the old one;
a key that is not is put in front of the first key of its mapping (in braces: behind the last), with the mappings that
lead to it. After each change the text is parsed again, and the caller's whole set of changes is proven on the data.

Rules.
* Positions come from pyyaml's own scanner, in characters of the text; line ends stay what they are.
* What cannot be edited without touching other things (aliases, merges, a value that is a list) raises EditError.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge.config.document import Data, read
from edge.config.problems import KeyPath, Problems
from edge.errors import ConfigError, SeamlineError, Text

Scalar = str | int | float | bool
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*(:[0-9][A-Za-z0-9_.]*)?")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


class EditError(SeamlineError):
    """The file cannot be changed in place at that key; says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Set the key at `path` (mappings by key, lists by index) to `value`."""

    path: KeyPath
    value: Scalar


def edited(text: str, edits: Sequence[Edit], file: str) -> str:
    """`text` with all edits made and proven: its data differ from before in nothing else.

    Raises EditError, and ConfigError where the file is no YAML.
    """
    before = _data(text, file)
    for edit in edits:
        text = _edit(text, edit, file)
        before = _with(before, edit.path, edit.value)
    if _data(text, file) != before:
        raise EditError(
            Text(f"{file}：就地修改会改动其他内容，请手工修改", f"{file}: cannot be edited in place; do it by hand")
        )
    return text


def lines_of(edits: Sequence[Edit]) -> list[str]:
    """The edits as YAML of their own, for people who write them in by hand: one nested mapping."""
    tree: dict[str | int, object] = {}
    for edit in edits:
        node = tree
        for key in edit.path[:-1]:
            node = node.setdefault(key, {})  # type: ignore[assignment]
        node[edit.path[-1]] = scalar(edit.value)
    return _render(tree, 0)


def scalar(value: Scalar) -> str:
    """As it stands in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value).removesuffix(".0")
    if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _render(tree: dict[str | int, object], depth: int) -> list[str]:
    lines: list[str] = []
    for key, value in tree.items():
        head = "  " * depth + f"{key}:"
        if not isinstance(value, dict):
            lines.append(f"{head} {value}")
        elif all(not isinstance(inner, dict) for inner in value.values()) and depth:
            lines.append(f"{head} {{ {', '.join(f'{k}: {v}' for k, v in value.items())} }}")
        else:
            lines += [head, *_render(value, depth + 1)]
    return lines


def _data(text: str, file: str) -> Data:
    problems = Problems()
    document = read(text, file, problems)
    problems.raise_if_any()
    return None if document is None else document.data


def _with(data: Data, path: KeyPath, value: Scalar) -> Data:
    """A copy of the data with one value set."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(data, list) and isinstance(key, int):
        return [*data[:key], _with(data[key], rest, value), *data[key + 1 :]]
    below = data if isinstance(data, dict) else {}
    return below | {str(key): _with(below.get(str(key)), rest, value)}


def _edit(text: str, edit: Edit, file: str) -> str:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(()) from error  # `_data` has read it before: it does not come here
    path = edit.path
    seen: set[int] = set()
    while isinstance(node, MappingNode | SequenceNode) and path:
        if id(node) in seen or _is_alias(text, node):
            raise _no(file, edit)
        seen.add(id(node))
        below = _below(node, path[0])
        if below is None:
            if not isinstance(node, MappingNode):
                raise _no(file, edit)
            return _insert(text, node, path, edit.value)
        node, path = below, path[1:]
    if not isinstance(node, ScalarNode) or _is_alias(text, node):
        raise _no(file, edit)
    return _replace(text, node, path, edit.value)


def _below(node: MappingNode | SequenceNode, key: str | int) -> Node | None:
    if isinstance(node, SequenceNode):
        items: list[Node] = node.value
        return items[key] if isinstance(key, int) and key < len(items) else None
    return next((value for name, value in node.value if getattr(name, "value", None) == str(key)), None)


def _is_alias(text: str, node: Node) -> bool:
    """A node that was reached through `*name` stands elsewhere, and others read it there; one that is named may be
    read elsewhere.
    """
    start = node.start_mark.index
    return text[max(0, start - 1) : start + 1].strip().startswith(("*", "&")) or "&" in _word_before(text, start)


def _word_before(text: str, index: int) -> str:
    """The word that stands before a position, behind which only blanks lie."""
    head = text[:index].rstrip(" ")
    return head[max(head.rfind(" "), head.rfind("\n"), head.rfind("{")) + 1 :]


def _replace(text: str, node: ScalarNode, path: KeyPath, value: Scalar) -> str:
    """Another scalar in place of one; with a path left, a mapping in braces in place of `null` or nothing."""
    new = scalar(value)
    for key in reversed(path):
        new = f"{{ {key}: {new} }}"
    start, end = node.start_mark.index, node.end_mark.index
    if start == end:  # "key:" with nothing behind it
        return text[:start] + " " + new + text[end:]
    if node.style in ("|", ">"):
        raise EditError(Text("多行文字不能就地修改", "a block of text cannot be edited in place"))
    return text[:start] + new + text[end:]


def _insert(text: str, node: MappingNode, path: KeyPath, value: Scalar) -> str:
    if node.flow_style:
        new = scalar(value)
        for key in reversed(path[1:]):
            new = f"{{ {key}: {new} }}"
        close = node.end_mark.index - 1
        last = close
        while text[last - 1] in " \t\r\n":
            last -= 1
        comma = "" if not node.value or text[last - 1] == "," else ","
        if "#" in text[text.rfind("\n", 0, last) + 1 : last] and "\n" in text[last:close]:
            last, comma = close, ""  # the last line ends in a comment: nothing is put behind it
        space = " " if node.value else ""
        return text[:last] + f"{comma}{space}{path[0]}: {new}" + text[last:]
    first: yaml.Mark = node.value[0][0].start_mark
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * first.column
    *outer, last_key = path
    tail = f"{last_key}: {scalar(value)}"
    if outer:  # the innermost mapping goes into braces
        tail = f"{outer.pop()}: {{ {tail} }}"
    lines = [*(f"{'  ' * depth}{key}:" for depth, key in enumerate(outer)), "  " * len(outer) + tail]
    place: int = first.index
    if not _own_line(text, place):  # "- id: x": the first key stands behind the dash
        place = _line_after_first(text, node)
        block = "".join(f"{indent}{line}{newline}" for line in lines)
        if place and text[place - 1] != "\n":
            block = newline + block.rstrip("\r\n")
        return text[:place] + block + text[place:]
    block = f"{newline}{indent}".join(lines)
    return text[:place] + block + newline + indent + text[place:]


def _own_line(text: str, index: int) -> bool:
    """Whether only blanks stand before a position."""
    return not text[text.rfind("\n", 0, index) + 1 : index].strip()


def _line_after_first(text: str, node: MappingNode) -> int:
    """Where the second key of a mapping would begin its line: behind the first key's value and its comment."""
    if len(node.value) > 1:
        start: int = node.value[1][0].start_mark.index
        return text.rfind("\n", 0, start) + 1
    end = text.find("\n", node.value[0][1].end_mark.index)
    return len(text) if end < 0 else end + 1


def _no(file: str, edit: Edit) -> EditError:
    where = ".".join(str(key) for key in edit.path)
    return EditError(
        Text(
            f"{file}：{where} 由别名或合并（*、&、<<）写成，不能就地修改，请手工写入",
            f"{file}: {where} is written through an alias or a merge (*, &, <<) and cannot be edited in place; "
            "write it in by hand",
        )
    )
