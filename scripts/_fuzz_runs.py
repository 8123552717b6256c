"""Targets of `fuzz.py`: strange configurations, and run folders with changes in them."""

import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pandas as pd

import polytask
from polytask.core import registry
from polytask.engine import fit as fitting
from polytask.engine.config import KEYS, Config, read_yaml
from polytask.engine.run import Run

WORDS = (
    "",
    "a",
    "none",
    "true",
    "1e-3",
    "-1",
    "1e999",
    "nan",
    "kind",
    "name",
    "file",
    "with",
    "columns",
    "@yeast",
    "regression",
)
TEXTS = (
    b"&a ",
    b"*a",
    b"!!python/name:os.system ",
    b"\t",
    b"\0",
    b"- ",
    b": ",
    b"[",
    b"}",
    b"? ",
    b"<<: ",
    b"|\n",
    b"\xff",
    b"'",
)
FILES = ("config.yaml", "schema.json", "model.safetensors", "checkpoint.safetensors", "data.json", "split.parquet")


@cache
def known() -> dict[str, Any]:
    """A whole configuration."""
    return Config.from_dict({"data": "d.csv", "tasks": ["cost", "ill"]}).to_dict()


def value(rng: random.Random, depth: int = 3) -> Any:
    """Anything that YAML holds."""
    if depth and rng.random() < 0.4:
        if rng.random() < 0.5:
            return [value(rng, depth - 1) for _ in range(rng.randrange(3))]
        return {key(rng): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    return rng.choice([None, True, rng.randint(-3, 3), 10**30, rng.gauss(0, 9), float("inf"), key(rng)])


def key(rng: random.Random) -> Any:
    """A name that means something, or any other."""
    sections = [name for part in known().values() if isinstance(part, dict) for name in part]
    return rng.choice([*KEYS, *sections, *registry.systems(), *WORDS, rng.randint(0, 9), None])


def mapping(rng: random.Random, folder: Path) -> None:
    """A whole configuration with changes."""
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in known().items()}
    for _ in range(rng.randint(1, 3)):
        section = rng.choice(list(values))
        inside = values[section] if isinstance(values[section], dict) and rng.random() < 0.7 else values
        inside[key(rng)] = value(rng)
    config = Config.from_dict(values)
    if Config.from_dict(config.to_dict()) != config:
        raise AssertionError("a configuration does not come back as it was written")


def changed(rng: random.Random, content: bytes) -> bytes:
    """A few bytes or words replaced, left out or doubled; or an end cut off."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(content), 2000) if rng.random() < 0.5 else len(content)) if content else 0
        more = rng.choice([*TEXTS, bytes([rng.randrange(256)]), content[place : place + rng.randrange(40)] * 2])
        content = content[:place] if rng.random() < 0.1 else content[:place] + more + content[place + rng.randrange(4) :]
    return content


def text(rng: random.Random, folder: Path) -> None:
    """A written configuration with changes."""
    (folder / "c.yaml").write_bytes(changed(rng, (good() / "config.yaml").read_bytes()))
    Config.from_dict(read_yaml(folder / "c.yaml"))


@cache
def frame() -> pd.DataFrame:
    """Rows with two tasks."""
    rng = random.Random(0)
    rows = [
        {"age": rng.gauss(50, 9), "ward": rng.choice("nsw"), "cost": rng.gauss(0, 1), "ill": rng.choice("yn")}
        for _ in range(90)
    ]
    return pd.DataFrame(rows)


@cache
def good() -> Path:
    """A run that was stopped before it was finished, but for `model.safetensors`."""
    folder = Path(mkdtemp()) / "run"
    training = {"epochs": 3, "steps": 1, "save_every": 0.0, "accelerator": "cpu"}
    options = {"members": 1, "width": 8, "embedding": "none"}
    polytask.fit(frame(), ["cost", "ill"], settings={"training": training, "system": options}, out=folder)
    return folder


def _run(use: Callable[[Path], object], names: tuple[str, ...]) -> Callable[[random.Random, Path], None]:
    def target(rng: random.Random, folder: Path) -> None:
        run = Path(shutil.copytree(good(), folder / "run"))
        name = rng.choice(names)
        (run / name).write_bytes(changed(rng, (run / name).read_bytes()))
        use(run)

    return target


def _resume(run: Path) -> None:
    (run / "model.safetensors").unlink()
    fitting.fit(
        frame(), out=run, resume=True, settings={k: v for k, v in read_yaml(run / "config.yaml").items() if k != "data"}
    )


TARGETS = {
    "config_mapping": mapping,
    "config_text": text,
    "run_load": _run(lambda run: Run.load(run).predict(frame().head(3)), FILES[:3]),
    "run_resume": _run(_resume, FILES[3:]),
}
