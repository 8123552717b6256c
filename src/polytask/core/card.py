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
    `defaults` is what it is trained with unless the user says otherwise: `{"balancer": "mgda", "training": {"lr": 1e-3}}`,
    a balancer with options as `{"name": "mgda", "normalise": "l2"}`.
    """

    id: str
    title: str
    paper: str = ""
    year: int | None = None
    field: str = "tables"
    kind: str = ""
    extra: str | None = None
    example: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
