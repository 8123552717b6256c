"""Content is found by its file: cards without imports, classes by name, a user's own file by path."""

import subprocess
import sys
from pathlib import Path

import pytest

from polytask.core import Balancer, Input, MissingExtra, OptionError, PolytaskError, System, Task, Weighting, registry

CARD = 'card = {"title": "Mine", "example": {"inputs": {"x": "number"}, "tasks": {"y": "binary"}}}\n'
CLASS = """
from polytask.core import System


class {name}(System):
    @classmethod
    def build(cls, schema, options):
        return cls(schema.tasks)

    def forward(self, batch, tasks=None):
        return {{}}
"""


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_listing_imports_neither_torch_nor_an_extra() -> None:
    code = (
        "import sys; from polytask.core import registry\n"
        "assert registry.systems() and registry.balancers() and registry.kinds('inputs') and registry.kinds('tasks')\n"
        "print([name for name in ('torch', 'transformers', 'sklearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_file_has_a_card_with_its_own_id() -> None:
    found = registry.systems()
    assert {"hard_sharing", "mmoe", "ple", "cross_stitch", "multimodn", "single_task", "trees", "linear"} <= set(found)
    for id, card in found.items():
        assert card.id == id
        assert registry.file_of(id).stem == id
        assert set(card.example) == {"inputs", "tasks"}
        assert registry.is_baseline(id) == (registry.file_of(id).parent.name == "baselines")


def test_names_lead_to_classes() -> None:
    assert all(issubclass(registry.load(id), System) for id in registry.systems())
    assert all(issubclass(registry.weighting(id), (Weighting, Balancer)) for id in registry.balancers())
    for place, base in (("inputs", Input), ("tasks", Task)):
        for name in registry.kinds(place):
            assert issubclass(registry.kind(place, name), base)
            assert registry.kind(place, name).kind == name


def test_unknown_names_propose_the_nearest() -> None:
    for call, text in (
        (lambda: registry.load("mmo"), "system: unknown name 'mmo'. Did you mean 'mmoe'?"),
        (lambda: registry.weighting("equl"), "balancer: unknown name 'equl'. Did you mean 'equal'?"),
        (lambda: registry.kind("inputs", "numbr"), "inputs kind: unknown kind 'numbr'. Did you mean 'number'?"),
        (lambda: registry.kind("tasks", "binry"), "tasks kind: unknown kind 'binry'. Did you mean 'binary'?"),
    ):
        with pytest.raises(OptionError) as caught:
            call()
        assert str(caught.value) == text


def test_a_users_own_file(tmp_path: Path) -> None:
    path = write(tmp_path, CARD + CLASS.format(name="Mine"))
    cls = registry.load(path)
    assert issubclass(cls, System)
    assert cls.__name__ == "Mine"
    assert registry.load(path) is cls
    assert registry.card_of(registry.file_of(path)).id == "mine"
    write(tmp_path, CARD + CLASS.format(name="Changed"))
    assert registry.load(path).__name__ == "Changed"


def test_a_file_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write(tmp_path, CARD + "raise ValueError('broken')")
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            registry.load(path)
    assert not [name for name in sys.modules if name.startswith("polytask_user_mine") and sys.modules[name] is None]


def test_a_missing_extra_says_what_to_install(tmp_path: Path) -> None:
    card = CARD.replace('"title"', '"extra": "graphs", "title"')
    path = write(tmp_path, card + "import no_such_package_here" + CLASS.format(name="Mine"))
    with pytest.raises(MissingExtra) as caught:
        registry.load(path)
    assert str(caught.value) == f"system '{path}': needs the package 'no_such_package_here'. pip install 'polytask[graphs]'"
    path = write(tmp_path, CARD + "import no_such_package_here" + CLASS.format(name="Mine"), "other.py")
    with pytest.raises(ModuleNotFoundError):
        registry.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CARD.replace('"title"', '"yaer": 2018, "title"') + CLASS.format(name="Mine"),
            "mine.py: card: unknown key 'yaer'. Did you mean 'year'?",
        ),
        (
            CLASS.format(name="Mine"),
            "mine.py: has no card. Start it with card = {'title': ..., 'field': ..., 'example': {...}}",
        ),
        ("card = dict(title='x')", "mine.py: card: is not a literal. Write strings, numbers, lists and dicts only"),
        (
            CARD + CLASS.format(name="One") + CLASS.format(name="Two"),
            "mine.py: must define exactly one System class; found One, Two",
        ),
        (CARD, "mine.py: must define exactly one System class; found none"),
    ],
)
def test_wrong_files_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolytaskError) as caught:
        registry.load(write(tmp_path, text))
    assert str(caught.value) == message


def test_a_path_without_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere.py")
    with pytest.raises(OptionError) as caught:
        registry.load(path)
    assert str(caught.value) == f"system '{path}': no such file. Give the path of a Python file with one System class"


def test_readers_are_the_systems_whose_example_has_the_kind() -> None:
    assert registry.readers("links") == ["pareto_gnn"]
    assert registry.readers("kspace") == ["recurrent_varnet"]
    assert {"hard_sharing", "mmoe", "trees"} <= set(registry.readers("number"))
    assert registry.readers("smell") == []
