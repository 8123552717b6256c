"""Any mapping is a configuration or an `OptionError`; a run folder with one change in it is a run or a `PolytaskError`."""

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import polytask
from polytask.core import Fault, OptionError, PolytaskError, registry
from polytask.engine import _yaml
from polytask.engine.config import KEYS, Config, read_yaml
from polytask.engine.run import Run

KNOWN = Config.from_dict({"data": "d.csv", "tasks": ["a", "b"], "ignore": ["c"]}).to_dict()
NAMES = sorted({*KEYS, *(key for part in KNOWN.values() if isinstance(part, Mapping) for key in part), *registry.systems()})
words = st.sampled_from([*NAMES, "a", "b", "", "none", "famo", "equal", "kind", "columns", "file", "with", "1e-3", "@yeast"])
keys = words | st.text(max_size=3) | st.integers(-1, 1) | st.none()
plain = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5)


def nested(names: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))


values = nested(keys)


def attempt(work: Callable[[], Any], kind: type[PolytaskError] = OptionError) -> tuple[tuple[Fault, ...], Any]:
    """The faults of what went wrong, or none and the outcome."""
    try:
        return (), work()
    except kind as error:
        return error.faults, None


def _round_trip(given: Mapping[Any, Any]) -> None:
    faults, config = attempt(lambda: Config.from_dict(given))
    assert config or faults
    assert all(fault.where and fault.problem for fault in faults)
    if config is None:
        return
    assert Config.from_dict(_yaml.read(_yaml.dump(config.to_dict()).encode())).to_dict() == config.to_dict()


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=5))
def test_any_mapping(mapping: dict[Any, Any]) -> None:
    _round_trip(mapping)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_good_configuration_with_one_change(data: st.DataObject) -> None:
    changed: dict[str, Any] = {key: dict(part) if isinstance(part, Mapping) else part for key, part in KNOWN.items()}
    key = data.draw(st.sampled_from(sorted(changed)))
    inside = isinstance(changed[key], dict) and data.draw(st.booleans())
    place = changed[key] if inside else changed
    place[data.draw(st.sampled_from(sorted(place)) if place else keys)] = data.draw(values)
    _round_trip(changed)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=" \n\t-:[]{}&*!|>'\"#,?~a1é\0", max_size=30).map(str.encode) | st.binary(max_size=20))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    faults, found = attempt(lambda: read_yaml(path))
    assert isinstance(found, dict) or faults
    assert all(fault.where.startswith(str(path)) for fault in faults)


@settings(max_examples=200, deadline=None)
@given(nested(words))
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    found = _yaml.read(_yaml.dump({"x": value}).encode())
    assert repr(found) == repr({"x": value})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from conftest import QUICK, small

    folder = tmp_path_factory.mktemp("good") / "run"
    polytask.fit(small(60), ["cost", "ill"], settings=QUICK, out=folder)
    return folder


def test_a_run_folder_with_one_change(good: Path, tmp_path: Path) -> None:
    """A byte set, dropped or doubled anywhere in what `Run.load` reads; the same bytes again give the same weights."""
    draw, loaded = random.Random(0), 0
    frame = pd.DataFrame({"a": [0.1], "b": [0.2], "c": [None], "ward": ["n"]})
    before = load_file(good / "model.safetensors")
    for number in range(120):
        folder = Path(shutil.copytree(good, tmp_path / str(number)))
        path = folder / draw.choice(["config.yaml", "schema.json", "model.safetensors"])
        content = bytearray(path.read_bytes())
        # The header of the weights is short, and their middle long: look at both.
        place = draw.randrange(min(len(content), 600) if draw.random() < 0.5 else len(content))
        content[place : place + 1] = draw.choice([b"", bytes([draw.randrange(256)]), bytes(content[place : place + 1]) * 2])
        path.write_bytes(content)
        faults, run = attempt(lambda: Run.load(folder), PolytaskError)  # noqa: B023
        assert run or faults
        assert all(str(folder) in fault.where for fault in faults)
        if run is not None:
            loaded += 1
            assert len(run.predict(frame)) == 1
            assert run.system.state_dict().keys() == before.keys()
    assert 0 < loaded < 120
