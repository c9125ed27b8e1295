"""A YAML file as plain data that still knows where each key stood.

Theory. The file is composed into nodes once; from the nodes come the plain values and, beside them, the place of every
key and list item. A mistake found much later, by any part of the compiler, can then point at its line.

Rules.
* Scalars follow the YAML 1.2 core schema: `14:00` and `2026-05-01` stay text, `no` is not false, `010` is ten. (YAML
  1.1, pyyaml's default, reads 14:00 as the number 840 and 06:00 as text.)
* What names an address is text, however it looks: 40001 and 0x17 are how people count, not numbers.
* A key written twice is a problem, not "the last one wins".
* Aliases and `<<` merges work; a file that would grow beyond `MAX_NODES` through them is refused. A file without any
  may be as large as it is: a node takes a character at least.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge.config.problems import KeyPath, Place, Problems
from edge.errors import Text

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # pyyaml built without libyaml: slower, same result
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

Data = None | bool | int | float | str | list["Data"] | dict[str, "Data"]

MAX_NODES = 200_000
_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Composer(_SafeLoader):
    """Composes nodes; the only implicit tag it keeps is the merge key, scalars are read by `_scalar`."""

    yaml_implicit_resolvers = {"<": [(_TAG + "merge", re.compile("^<<$"))]}  # noqa: RUF012 - the name is pyyaml's


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data, and the place of every key path in it."""

    file: str
    data: Data
    places: Mapping[KeyPath, Place] = field(repr=False)

    def place(self, path: KeyPath) -> Place:
        """Where `path` stands; if absent, where its nearest ancestor stands. The path shown stays the asked one."""
        for length in range(len(path), -1, -1):
            if (place := self.places.get(path[:length])) is not None:
                return Place(place.file, place.line, place.path + path[length:])
        return Place(self.file, 0, path)

    def at(self, path: KeyPath) -> Data:
        """The value at `path`, None where there is none."""
        value = self.data
        for key in path:
            if isinstance(value, dict) and isinstance(key, str):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value


def read(text: str, file: str, problems: Problems) -> Document | None:
    """Parse one YAML document. Mistakes go to `problems`; None where nothing could be read at all."""
    loader = _Composer(text)
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        _report_syntax(error, file, problems)
        return None
    finally:
        loader.dispose()
    if root is None:
        problems.add(Place(file, 0, ()), Text("文件是空的", "the file is empty"))
        return None
    builder = _Builder(file, problems, max(MAX_NODES, len(text)))
    data = builder.value(root, ())
    return Document(file, data, builder.places)


class _Builder:
    """One walk over the nodes: values, places, duplicate keys."""

    def __init__(self, file: str, problems: Problems, most_nodes: int) -> None:
        self._most_nodes = most_nodes
        self.places: dict[KeyPath, Place] = {}
        self._file = file
        self._problems = problems
        self._nodes = 0
        self._open: set[int] = set()  # collections being walked: an alias to one of them has no end

    def value(self, node: Node, path: KeyPath) -> Data:
        """The plain value of a node; notes places on the way."""
        self._nodes += 1
        self.places.setdefault(path, self._place(node, path))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open or self._nodes > self._most_nodes:
            self._add(node, path, "别名（*）无限展开", "aliases (*) without end", None)
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            assert isinstance(node, MappingNode)  # the third and last kind of node
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: KeyPath) -> Data:
        data: dict[str, Data] = {}
        first_line: dict[str, int] = {}
        for key_node, value_node in self._pairs(node, path):
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in first_line:
                first = first_line[key]
                twice = Text(f"键重复，第 {first} 行已写过", f"key given twice, first on line {first}")
                hint = Text("删去其中一个", "remove one of them")
                self._problems.add(Place(self._file, line, (*path, key)), twice, hint)
                continue
            first_line[key] = line
            self.places[(*path, key)] = Place(self._file, line, (*path, key))
            data[key] = self.value(value_node, (*path, key))
        for merged in self._merged(node, path):
            data = merged | data
        return data

    def _pairs(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[ScalarNode, Node]]:
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._add(key_node, path, "键须是文字", "a key must be text", None)
            elif not _is_merge(key_node):
                yield key_node, value_node

    def _merged(self, node: MappingNode, path: KeyPath) -> Iterator[dict[str, Data]]:
        """Mappings named by `<<`, the last one first, so that earlier ones and own keys win."""
        for key_node, value_node in node.value:
            if not (isinstance(key_node, ScalarNode) and _is_merge(key_node)):
                continue
            for source in reversed(value_node.value if isinstance(value_node, SequenceNode) else [value_node]):
                value = self.value(source, path)
                if isinstance(value, dict):
                    yield value
                else:
                    self._add(source, path, "<< 须指向映射", "<< must name a mapping", None)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Data:
        text: str = node.value
        if node.tag not in (_TAG + "str", _TAG + "merge"):
            self._add(node, path, f"不支持标签 {node.tag}", f"tag {node.tag} is not supported", None)
            return None
        if node.style:  # quoted or block text is text
            return text
        if _names_address(path):
            return None if _NULL.fullmatch(text) else text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text[0] in "tT"
        if _INT.fullmatch(text):
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return text

    def _place(self, node: Node, path: KeyPath) -> Place:
        return Place(self._file, node.start_mark.line + 1, path)

    def _add(self, node: Node, path: KeyPath, zh: str, en: str, hint: Text | None) -> None:
        self._problems.add(self._place(node, path), Text(zh, en), hint)


def _names_address(path: KeyPath) -> bool:
    """`address` of a tag, `base` of a machine (an area of a PLC has a number there), items of `forbidden`."""
    above, key = path[-2:] if len(path) > 1 else ("", *path, "")[:2]
    return key == "address" or above == "forbidden" or (key == "base" and path[0] == "machines")


def _is_merge(node: ScalarNode) -> bool:
    return bool(node.tag == _TAG + "merge")


def _report_syntax(error: yaml.YAMLError, file: str, problems: Problems) -> None:
    """The parser's own words, with its line, and what most often causes it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    words = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None)))) or str(error)
    hint = Text(
        "看这一行和上一行：缩进（只用空格，不用 Tab）、冒号后的空格、引号和括号是否成对",
        "look at this line and the one before: indentation (no tabs), a space after the colon, paired quotes",
    )
    line = mark.line + 1 if mark is not None else 0
    problems.add(Place(file, line, ()), Text(f"YAML 语法错误：{words}", f"YAML syntax: {words}"), hint)


def overlay(base: Document, top: Document) -> Document:
    """`top` laid over `base`: mappings merge key by key, everything else is replaced. Places follow the values."""
    replaced: set[KeyPath] = set()

    def merge(below: Data, above: Data, path: KeyPath) -> Data:
        if isinstance(below, dict) and isinstance(above, dict):
            return below | {key: merge(below.get(key), value, (*path, key)) for key, value in above.items()}
        replaced.add(path)
        return above

    def is_above(path: KeyPath) -> bool:
        return any(path[:end] in replaced for end in range(len(path) + 1))

    data = merge(base.data, top.data, ())
    places = {path: place for path, place in base.places.items() if not is_above(path)}
    return Document(top.file, data, places | {path: place for path, place in top.places.items() if is_above(path)})
