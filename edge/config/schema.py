"""JSON Schema of a site file, for editors (`yaml-language-server: $schema=…`)."""

from __future__ import annotations

from typing import Any

from edge.config.models import SiteFile

JsonSchema = dict[str, Any]  # a JSON document for others; nothing of ours reads it back


def json_schema() -> JsonSchema:
    """JSON Schema (draft 2020-12) of the site file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SiteFile.model_json_schema(),
        "title": "Seamline site file",
    }
