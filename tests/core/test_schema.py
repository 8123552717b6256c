"""Schemas: from literals, to JSON and back, over tables; and the texts of errors."""

import json

import pyarrow as pa
import pytest
import torch

from polytask.core import DataError, Fault, OptionError, PolytaskError, Schema, System, nearest, registry
from polytask.core.errors import collect
from polytask.core.system import PerTask

LITERALS = {
    "inputs": {"age": "number", "ward": "category 4", "smoker": "boolean", "note": "text 50"},
    "tasks": {"died": "binary", "grade": "ordinal 3", "stay": "survival 4", "tags": "multilabel 2"},
}


@pytest.fixture
def schema() -> Schema:
    return Schema.parse(LITERALS)


def test_literals_become_kinds(schema: Schema) -> None:
    assert {name: item.kind for name, item in schema.inputs.items()} == {
        "age": "number", "ward": "category", "smoker": "boolean", "note": "text",
    }  # fmt: skip
    assert [task.output_shape for task in schema.tasks.values()] == [(1,), (3,), (4,), (2,)]


@pytest.mark.parametrize("literal", [{"inputs": {"a": "numbr"}, "tasks": {}}, {"inputs": {}, "tasks": {"a": "bin"}}])
def test_unknown_kinds_are_refused(literal: dict) -> None:
    with pytest.raises(OptionError, match="unknown kind"):
        Schema.parse(literal)


def test_json_round_trip(schema: Schema) -> None:
    back = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert back == schema
    assert list(back.inputs) == list(schema.inputs)


def test_every_kind_survives_json() -> None:
    sized = {
        "category": "3",
        "image": "1 8 8",
        "vector": "3",
        "text": "50",
        "audio": "8 6",
        "pixels": "1 8 8",
        "series": "3 12",
        "kspace": "2 8 8",
    }
    for kind in registry.kinds("inputs"):
        schema = Schema.parse({"inputs": {"x": f"{kind} {sized.get(kind, '')}"}, "tasks": {}})
        assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_examples_are_repeatable_and_complete(schema: Schema) -> None:
    first, again, other = schema.example(6), schema.example(6), schema.example(6, seed=1)
    assert torch.equal(first.inputs.tensor("age"), again.inputs.tensor("age"))
    assert not torch.equal(first.inputs.tensor("age"), other.inputs.tensor("age"))
    assert first.tasks == tuple(schema.tasks)
    assert all(bool(first.present.tensor(name).all()) for name in schema.inputs)


def test_choosing_inputs_and_tasks(schema: Schema) -> None:
    part = schema.only(inputs=("ward", "age"), tasks=("stay",))
    assert (list(part.inputs), list(part.tasks)) == (["age", "ward"], ["stay"])
    assert schema.only() == schema
    assert schema.of_kind("number", "text") == ("age", "note")


def test_modalities_are_declared_or_kinds() -> None:
    number = registry.kind("inputs", "number")
    inputs = {"a": number(name="a", modality="labs"), "b": number(name="b"), "c": number(name="c", modality="labs")}
    assert Schema(inputs, {}).modalities() == {"labs": ("a", "c"), "number": ("b",)}


def test_a_table_without_label_columns_is_unlabelled(schema: Schema) -> None:
    cells = {"age": [1.0, None], "ward": ["value 0", "?"], "smoker": [True, None], "note": ["a", None], "died": [1, None]}
    batch = schema.encode(pa.table(cells))
    assert batch.tasks == ("died",)
    assert batch.present.stack(tuple(schema.inputs)).tolist() == [[True] * 4, [False, True, False, False]]
    assert batch.labelled.tensor("died").tolist() == [True, False]


def test_missing_inputs_are_listed_at_once(schema: Schema) -> None:
    table = pa.table({"agee": [1.0], "ward": ["a"]})
    with pytest.raises(DataError) as caught:
        schema.encode(table)
    assert str(caught.value).splitlines() == [
        "column 'age': is missing. Did you mean 'agee'?",
        "column 'smoker': is missing. Known: agee, ward.",
        "column 'note': is missing. Known: agee, ward.",
    ]


def test_faults_read_as_sentences() -> None:
    assert str(Fault("column 'x'", "is constant: 3")) == "column 'x': is constant: 3"
    assert str(Fault("column 'x'", "is constant: 3", "Leave it out")) == "column 'x': is constant: 3. Leave it out"
    assert nearest("hedas", ["heads", "width"]) == "Did you mean 'heads'?"
    assert nearest("zzz", ["heads", "width"]) == "Known: heads, width."
    assert nearest("zzz", []) == "Known: none."
    assert nearest("zzz", [f"a{i:02}" for i in range(30)]).endswith("a19, ....")


def test_faults_are_collected_with_the_one_that_interrupts() -> None:
    with pytest.raises(DataError) as caught, collect(DataError) as faults:  # noqa: PT012
        faults.add("a", "first")
        faults.unknown("b", "hedas", ["heads"])
        raise PolytaskError.of("c", "third")
    assert [str(fault) for fault in caught.value.faults] == [
        "a: first",
        "b: unknown name 'hedas'. Did you mean 'heads'?",
        "c: third",
    ]
    with collect(DataError) as faults:
        assert list(faults) == []


def test_parameters_of_a_task_are_those_inside_a_per_task_module() -> None:
    class Two(System):
        @classmethod
        def build(cls, schema, options):  # type: ignore[no-untyped-def]
            return cls(schema.tasks)

        def __init__(self, tasks):  # type: ignore[no-untyped-def]
            super().__init__(tasks)
            self.trunk = torch.nn.Linear(2, 2)
            self.heads = PerTask({name: torch.nn.Linear(2, 1) for name in tasks})

        def forward(self, batch, tasks=None):  # type: ignore[no-untyped-def]
            return {}

    names = {"a b": "binary", "c.d": "regression"}
    system = Two.build(Schema.parse({"inputs": {}, "tasks": names}), None)
    assert "a b" in system.heads
    assert list(system.heads) == list(names)
    assert [id(p) for p in system.shared_parameters()] == [id(p) for p in system.trunk.parameters()]
    assert [id(p) for p in system.task_parameters("c.d")] == [id(p) for p in system.heads["c.d"].parameters()]
