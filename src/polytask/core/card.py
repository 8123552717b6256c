"""What a system, a baseline or a balancer is: literals, readable without importing the file that states them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Card:
    """The title page of a published way. The file's stem is its id.

    `example` is a literal schema that the conformance suite builds the system from:
    `{"inputs": {"age": "number", "ward": "category 5"}, "tasks": {"died": "binary"}}`.
    """

    id: str
    title: str
    paper: str = ""
    year: int | None = None
    field: str = "tables"
    kind: str = ""
    extra: str | None = None
    example: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
