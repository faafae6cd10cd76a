"""The fields of a model's class, as programs that know pydantic ask for them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import msgspec


class ModelField(NamedTuple):
    """A field of a model. `alias` is its name in JSON, where that is another one."""

    name: str
    alias: str | None
    annotation: Any
    default: Any

    def is_required(self) -> bool:
        """Return whether a model made by hand must be given the field."""
        return self.default is msgspec.NODEFAULT


@cache
def fields_of(kind: Any) -> dict[str, ModelField]:
    """Return a class's fields by name: the id first, the others by the alphabet."""
    tag = kind.__struct_config__.tag
    fields = [ModelField("type", None, str, tag)] if tag else []
    for field in msgspec.structs.fields(kind):
        made = field.default_factory is not msgspec.NODEFAULT
        default = None if made else field.default
        alias = field.encode_name if field.encode_name != field.name else None
        fields.append(ModelField(field.name, alias, field.type, default))
    fields.sort(key=lambda field: (field.name != "id", field.name))
    return {field.name: field for field in fields}


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a model's class, with what it refers to under `$defs`."""
    schema = msgspec.json.schema(kind, schema_hook=lambda _: {"type": "string"})
    definitions = schema.get("$defs", {})
    own = definitions.pop(schema.get("$ref", "").rpartition("/")[2], schema)
    return {**own, "$defs": definitions}
