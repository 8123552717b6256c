"""Options are declared once; validation, schema, dump and settings follow."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polytask.core import OptionError, fitted, opt
from polytask.core.option import dump, json_schema, make, options_of, parse_settings


@dataclass(frozen=True)
class Base:
    heads: int = opt(8, "attention heads", paper="sec. 4.1", ge=1, le=64)


@dataclass(frozen=True)
class Options(Base):
    rate: float = opt(0.1, "learning rate", ours="usual", gt=0, lt=1, was="lr")
    act: Literal["relu", "silu"] = opt("relu", "activation", ours="usual", choices=("relu", "silu"))
    sizes: tuple[int, ...] = opt((4, 2), "layer sizes", ours="usual")
    limit: int | None = opt(None, "most rows", ours="none")
    deep: bool = opt(False, "more layers", ours="small data")
    learnt: float = fitted(0.0)
    name: str = "x"


def test_text_becomes_the_declared_type() -> None:
    values = {"heads": "4", "rate": "1e-3", "act": "silu", "sizes": ["3", "5"], "limit": "7", "deep": "true"}
    made = make(Options, values, "options")
    assert made == Options(heads=4, rate=1e-3, act="silu", sizes=(3, 5), limit=7, deep=True)
    assert [type(value) for value in (made.heads, made.rate, made.limit, made.deep)] == [int, float, int, bool]


def test_defaults_and_fixed_fields() -> None:
    assert make(Options, {}, "options") == Options()
    assert make(Options, {}, "options", {"name": "y", "learnt": 2.0}) == Options(name="y", learnt=2.0)


@pytest.mark.parametrize("word", ["none", "None", "null", None])
def test_none_by_word(word: str | None) -> None:
    assert make(Options, {"limit": word}, "options").limit is None


def test_every_fault_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        make(Options, {"head": 1, "heads": 0, "rate": "much", "act": "relo", "sizes": "x", "learnt": 1.0}, "systems.ple")
    assert str(caught.value).splitlines() == [
        "systems.ple.head: unknown option. Did you mean 'heads'?",
        f"systems.ple.heads: must be {options_of(Options)['heads'].allowed}; got 0",
        f"systems.ple.rate: must be {options_of(Options)['rate'].allowed}; got 'much'",
        "systems.ple.act: must be one of relu, silu; got 'relo'. Did you mean 'relu'?",
        "systems.ple.sizes: must be a list of int; got 'x'",
        "systems.ple.learnt: unknown option. Known: act, deep, heads, limit, rate, sizes.",
    ]


@given(st.floats(allow_nan=True))
def test_bounds_hold(rate: float) -> None:
    if 0 < rate < 1:
        assert make(Options, {"rate": rate}, "options").rate == rate
    else:
        with pytest.raises(OptionError, match=r"options\.rate: must be float .*> 0 and < 1; got"):
            make(Options, {"rate": rate}, "options")


def test_old_names_still_work() -> None:
    assert make(Options, {"lr": 0.5}, "options").rate == 0.5
    with pytest.raises(OptionError, match=r"options\.rate: must be float .*> 0 and < 1; got 2"):
        make(Options, {"lr": 2}, "options")


def test_choices_in_words() -> None:
    assert options_of(Options)["act"].allowed == "one of relu, silu"
    assert options_of(Options)["sizes"].allowed == "a list of int"


def test_dump_is_what_make_takes() -> None:
    options = Options(heads=3, sizes=(1, 2, 3), limit=9)
    dumped = dump(options)
    assert dumped == {"heads": 3, "rate": 0.1, "act": "relu", "sizes": [1, 2, 3], "limit": 9, "deep": False}
    assert make(Options, json.loads(json.dumps(dumped)), "options") == options


def test_json_schema_states_everything() -> None:
    schema = json_schema(Options)
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["heads", "rate", "act", "sizes", "limit", "deep"]
    heads, act, rate = (schema["properties"][name] for name in ("heads", "act", "rate"))
    assert heads == {"type": "integer", "minimum": 1, "maximum": 64, "description": "attention heads", "default": 8}
    assert act["enum"] == ["relu", "silu"]
    assert (rate["exclusiveMinimum"], rate["exclusiveMaximum"]) == (0, 1)
    assert schema["properties"]["sizes"]["default"] == [4, 2]
    assert json.dumps(schema)


def test_provenance() -> None:
    options = options_of(Options)
    assert options["heads"].provenance == "paper: sec. 4.1"
    assert options["act"].provenance == "ours: usual"
    assert "learnt" not in options


def test_allowed_values_in_words() -> None:
    options = options_of(Options)
    assert options["heads"].allowed == "int >= 1 and <= 64"
    assert options["rate"].allowed == "float > 0 and < 1"


def test_settings_nest_by_dots_and_list_by_commas() -> None:
    found = parse_settings(["heads=4", "training.lr=1e-3", "training.seed=2", "sizes=3,5", "name=a=b", "empty="])
    assert found == {
        "heads": "4", "training": {"lr": "1e-3", "seed": "2"}, "sizes": ["3", "5"], "name": "a=b", "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize("setting", ["heads", "=4", ""])
def test_other_settings_are_refused(setting: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_settings([setting])
    assert str(caught.value) == f"--set: '{setting}' is not KEY=VALUE. Write for example --set width=128"
