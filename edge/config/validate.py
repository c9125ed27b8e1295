"""From plain data to typed models, without stopping at the first mistake.

Theory. pydantic gives all structural mistakes of one model, but no object while there is any. A site file is checked
for meaning too (references, addresses, shifts), and both kinds of mistakes belong into one report. So sections and list
items are validated one by one, and within an item what is wrong is reported, cut away, and the rest validated again: a
port of "abc" does not hide an unknown template two lines below.

The words of every pydantic mistake are here, in both languages. They never quote the value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config.document import Data, Document
from edge.config.problems import KeyPath, Problems, suggest
from edge.errors import Text

M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "missing": ("缺少此项", "this key is required"),
    "string_type": ("应为文字（数字请加引号）", "text is expected (put numbers in quotes)"),
    "string_too_short": ("不能为空", "must not be empty"),
    "string_too_long": ("太长，最多 {max_length} 个字符", "too long, at most {max_length} characters"),
    "string_pattern_mismatch": (
        "写法不对：应符合 {pattern}",
        "not well-formed: must match {pattern}",
    ),
    "int_type": ("应为整数", "a whole number is expected"),
    "int_parsing": ("应为整数", "a whole number is expected"),
    "int_from_float": ("应为整数，不带小数", "a whole number without decimals is expected"),
    "float_type": ("应为数字", "a number is expected"),
    "float_parsing": ("应为数字", "a number is expected"),
    "finite_number": ("应为有限的数字", "a finite number is expected"),
    "bool_type": ("应为 true 或 false", "true or false is expected"),
    "bool_parsing": ("应为 true 或 false", "true or false is expected"),
    "tuple_type": ("应为列表（每项以 - 开头）", "a list is expected (each item begins with -)"),
    "list_type": ("应为列表（每项以 - 开头）", "a list is expected (each item begins with -)"),
    "dict_type": ("应为映射（键: 值）", "a mapping is expected (key: value)"),
    "model_type": ("应为映射（键: 值）", "a mapping is expected (key: value)"),
    "model_attributes_type": ("应为映射（键: 值）", "a mapping is expected (key: value)"),
    "literal_error": ("应为其中之一：{expected}", "one of these is expected: {expected}"),
    "enum": ("应为其中之一：{expected}", "one of these is expected: {expected}"),
    "greater_than": ("应大于 {gt}", "must be greater than {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than": ("应小于 {lt}", "must be less than {lt}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "too_short": ("至少 {min_length} 项", "at least {min_length} entries"),
}


@dataclass(frozen=True, slots=True)
class Placed(Generic[M]):
    """A validated model and where it stands."""

    document: Document
    path: KeyPath
    value: M

    def add(self, problems: Problems, sub: KeyPath, what: Text, hint: Text | None = None) -> None:
        """Note a problem at a key below this model."""
        problems.add(self.document.place(self.path + sub), what, hint)


def one(
    model: type[M], document: Document, path: KeyPath, problems: Problems, *, skip: Collection[str] = ()
) -> Placed[M] | None:
    """Validate the mapping at `path`, less the keys in `skip`; None where even the rest of it cannot stand."""
    data = document.at(path)
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in skip}
    value = _pruned(model, document, path, data, problems)
    return None if value is None else Placed(document, path, value)


def many(
    model: type[M], document: Document, path: KeyPath, problems: Problems, *, skip: Collection[str] = ()
) -> list[Placed[M]]:
    """Validate each item of the list at `path`, less its keys in `skip`; absent = empty."""
    items = document.at(path)
    if items is None:
        return []
    if not isinstance(items, list):
        problems.add(document.place(path), _text("list_type", {}))
        return []
    placed = [one(model, document, (*path, index), problems, skip=skip) for index in range(len(items))]
    return [item for item in placed if item is not None]


def known_keys(model: type[BaseModel], document: Document, path: KeyPath, problems: Problems) -> None:
    """Report the keys at `path` that the model does not have, whatever its values are."""
    data = document.at(path)
    if not isinstance(data, dict):
        problems.add(document.place(path), _text("dict_type", {}))
        return
    for key in data:
        if key not in model.model_fields:
            problems.add(document.place((*path, key)), *_unknown_key(model, (key,)))


def _pruned(model: type[M], document: Document, path: KeyPath, data: Data, problems: Problems) -> M | None:
    told: set[KeyPath] = set()
    for _ in range(1 + len(document.places)):  # every round cuts something away
        try:
            return model.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        cuts: set[KeyPath] = set()
        for detail in details:
            at = _key_path(detail)
            if not any(at[: len(known)] == known for known in told):
                what, hint = _describe(model, at, detail)
                problems.add(document.place(path + at), what, hint)
            told.add(at)
            cuts.add(_enclosing_key(at) if detail["type"] == "missing" else at)
        if () in cuts:  # what the model itself must have
            return None
        told |= cuts
        data = _without(data, cuts)
    return None


def _key_path(detail: ErrorDetails) -> KeyPath:
    """The path of an error; a bad key of a mapping carries an extra `[key]`."""
    return tuple(part for part in detail["loc"] if part != "[key]")


def _enclosing_key(at: KeyPath) -> KeyPath:
    """The smallest removable thing around a missing key: the mapping's key, or the whole list it is an item of."""
    above = at[:-1]
    while above and isinstance(above[-1], int):
        above = above[:-1]
    return above


def _without(data: Data, cuts: set[KeyPath]) -> Data:
    """A copy of `data` less the given paths (an index cuts the whole list: positions must not move)."""
    heads = {cut[0] for cut in cuts if len(cut) == 1}
    if isinstance(data, dict):
        kept: dict[str, Data] = {}
        for key, value in data.items():
            below = {cut[1:] for cut in cuts if cut[0] == key and len(cut) > 1}
            if key in heads or any(len(cut) == 1 and isinstance(cut[0], int) for cut in below):
                continue
            kept[key] = _without(value, below) if below else value
        return kept
    if isinstance(data, list):
        return [_without(v, {c[1:] for c in cuts if c[0] == i and len(c) > 1}) for i, v in enumerate(data)]
    return data


def _describe(model: type[BaseModel], at: KeyPath, detail: ErrorDetails) -> tuple[Text, Text | None]:
    context = detail.get("ctx", {})
    if detail["type"] == "extra_forbidden":
        return _unknown_key(model, at)
    if detail["type"] == "seamline":
        return Text(context["zh"], context["en"]), None
    return _text(detail["type"], context), None


def _text(kind: str, context: Mapping[str, Any]) -> Text:
    zh, en = _WORDS.get(kind, (f"值不对（{kind}）", f"not valid ({kind})"))
    chinese = {key: f"{value}".replace(" or ", "、") if key == "expected" else value for key, value in context.items()}
    return Text(_fill(zh, chinese), _fill(en, context))


def _fill(words: str, context: Mapping[str, Any]) -> str:
    for key, value in context.items():
        words = words.replace("{" + key + "}", f"{value}")
    return words


def _unknown_key(model: type[BaseModel], at: KeyPath) -> tuple[Text, Text]:
    known = _fields_at(model, at[:-1])
    return Text("不认识的键", "unknown key"), suggest(str(at[-1]), known)


def _fields_at(model: type[BaseModel], path: KeyPath) -> Sequence[str]:
    """Names of the keys allowed in the mapping at `path` below `model`."""
    here: Any = model
    for key in path:
        here = _step(_plain(here), key)
    here = _plain(here)
    return list(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _step(annotation: Any, key: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(key, str):
        field = annotation.model_fields.get(key)
        return None if field is None else field.annotation
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and isinstance(key, int):
        return arguments[0]
    return arguments[1] if get_origin(annotation) is dict else None


def _plain(annotation: Any) -> Any:
    """Without Annotated and None."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        arguments = [a for a in get_args(annotation) if a is not type(None)]
        annotation = arguments[0]
    return annotation
