"""JSON Schema of a site file, for editors (`yaml-language-server: $schema=…`)."""

from __future__ import annotations

from typing import Any

from edge.config.models import Label, ProductModel, SiteFile

JsonSchema = dict[str, Any]  # a JSON document; nothing of ours reads it back


def json_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of the site file."""
    schema: JsonSchema = SiteFile.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for model in (Label, ProductModel):  # named by short forms, which pydantic does not follow
        definitions.setdefault(model.__name__, model.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Seamline site file",
        **schema,
    }
