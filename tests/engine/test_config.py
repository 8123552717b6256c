"""A configuration is checked all at once, and comes back as it was written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from polytask.core import OptionError, registry
from polytask.engine.config import Config, read_yaml
from polytask.engine.training import Training

BASE: dict[str, Any] = {"data": "d.csv", "tasks": ["a", "b"]}


@pytest.mark.parametrize("system", [*registry.systems()])
def test_round_trip(system: str) -> None:
    config = Config.from_dict(BASE | {"system": system, "balancer": "famo", "ignore": ["id"], "split": {"seed": 3}})
    assert Config.from_dict(config.to_dict()) == config
    own = registry.systems()[system].defaults.get("training", {})
    assert config.training == Training(**own)


def test_a_cards_defaults_give_way_to_what_is_set() -> None:
    given = {"system": "pareto_gnn", "training": {"lr": 0.5}}
    config = Config.from_dict(BASE | given)
    assert (config.balancer, config.balancing["normalise"]) == ("mgda", "l2")
    assert (config.training.lr, config.training.weight_decay) == (0.5, 1e-5)
    assert Config.from_dict(BASE | given | {"balancer": {"name": "mgda", "epsilon": 0.1}}).balancing["normalise"] == "l2"
    assert Config.from_dict(BASE | given | {"balancer": {"normalise": "none"}}).balancing["normalise"] == "none"
    assert Config.from_dict(BASE | given | {"balancer": "famo"}).balancer == "famo"
    assert Config.from_dict(config.to_dict()) == config


def faults(values: dict[str, Any]) -> str:
    with pytest.raises(OptionError) as error:
        Config.from_dict(BASE | values)
    return str(error.value)


def test_typos_are_found_all_at_once() -> None:
    text = faults({"training": {"lrr": 1, "epochs": "many"}, "split": {"hw": 1}, "system": {"name": "ple", "widht": 2}})
    assert "training.lrr: unknown option. Did you mean 'lr'?" in text
    assert "training.epochs: must be int >= 1; got 'many'" in text
    assert "split.hw: unknown option. Did you mean 'how'?" in text
    assert "ple.widht: unknown option. Did you mean 'width'?" in text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"dta": 1}, "dta: unknown name 'dta'. Did you mean 'data'?"),
        ({"split": "random"}, "split: must be a mapping; got 'random'"),
        ({"tasks": 3}, "tasks: must be a mapping or a list or a name; got 3"),
        ({"system": "pel"}, "unknown name 'pel'. Did you mean 'ple'?"),
        ({"balancer": "fam"}, "unknown name 'fam'. Did you mean 'famo'?"),
        ({"data": [{"file": "a", "task": []}]}, "data[0].task: unknown key"),
        ({"data": [{"tasks": []}]}, "data[0]: names no file"),
    ],
)
def test_wrong_keys_and_types(values: dict[str, Any], text: str) -> None:
    assert text in faults(values)


def test_empty_sections_are_defaults() -> None:
    assert Config.from_dict(BASE | {"training": None, "system": None, "split": None}) == Config.from_dict(BASE)


def test_files_are_looked_for_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("data: d.csv\nsystem: {name: mine.py, width: 3}\n")
    values = read_yaml(path)
    assert values["data"] == [{"file": str(tmp_path / "d.csv")}]
    assert values["system"] == {"name": str(tmp_path / "mine.py"), "width": 3}
    path.write_text("data: '@support2'\n")
    assert read_yaml(path)["data"] == [{"file": "@support2"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x [1]\nb: [*x, *x]\n", "aliases are not allowed"),
        ("tasks: [a\n", "line 2"),
        ("- a\n", "must be a mapping"),
        ("a: !!python/object:os.system x\n", "is not YAML"),
        ("x" * 1_000_001, "larger than any configuration"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(OptionError, match=problem) as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


def test_schedules() -> None:
    steps = 40
    constant = Training(warmup=0.25)
    assert [constant.rate(step, steps) for step in (0, 4, 9, 10, 39)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    linear, cosine = Training(schedule="linear"), Training(schedule="cosine")
    assert [linear.rate(step, steps) for step in (0, 10, 40)] == pytest.approx([1, 0.75, 0])
    expected = [0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps)).item()) for step in (0, 10, 30, 40)]
    assert [cosine.rate(step, steps) for step in (0, 10, 30, 40)] == pytest.approx(expected)
    both = Training(schedule="linear", warmup=0.5)
    assert [both.rate(step, steps) for step in (19, 20, 30)] == pytest.approx([1, 1, 0.5])
