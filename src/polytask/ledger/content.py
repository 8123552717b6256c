"""What decides a claim's numbers, as one key: the code of the claim, its systems, and the parts and data that they import.

Code counts as Python reads it: comments, docstrings and layout change no key. Neither does the claim's literal, which only says
how numbers are judged. The engine and the core are not part of the key: a change there that moves numbers calls for a new
version, or for `--again`.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from polytask.core import registry

from .claim import Claim

_ROOT = Path(__file__).parents[1]
_LEFT_OUT = {"core", "engine", "ledger", "report", "cli", "testing", "serve"}


def key(claim: Claim, arm: str, seed: int, size: str) -> str:
    """Ten hexadecimal digits that change with anything that decides the cell's numbers."""
    files = [claim.path, *map(_file, claim.systems), *(_data(name) for name in claim.data)]
    found = _closure(tuple(path for path in files if path is not None))
    code = "".join(_digest(path, path == claim.path, _stamp(path)) for path in sorted(found))
    return hashlib.sha256(f"{code}/{arm}/{seed}/{size}".encode()).hexdigest()[:10]


def _file(id: str) -> Path | None:
    """The file of a system or balancer; a balancer of a file of several is decided by the library it comes from."""
    if id in registry.systems():
        return registry.file_of(id)
    path = _ROOT / "balance" / f"{id}.py"
    return path if path.exists() else None


def _data(name: str) -> Path | None:
    paths = (_ROOT / "data" / place / f"{name}.py" for place in ("real", "worlds"))
    return next((path for path in paths if path.exists()), None)


def _stamp(path: Path) -> int:
    """A number that changes when the file does, so that what is remembered of it is not used."""
    return path.stat().st_mtime_ns


def _closure(start: tuple[Path, ...]) -> frozenset[Path]:
    """The files and all that they import of this package, the mechanism left out."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, _stamp(path))
    return frozenset(found)


@cache
def _imports(path: Path, stamp: int) -> tuple[Path, ...]:
    package = ["polytask", *path.relative_to(_ROOT).parts[:-1]] if path.is_relative_to(_ROOT) else []
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            modules += [module, *(f"{module}.{name.name}" for name in node.names)]
    return tuple(found for name in dict.fromkeys(modules) if (found := _path_of(name)) is not None)


def _path_of(module: str) -> Path | None:
    first, *rest = module.split(".")
    if first != "polytask" or not rest or rest[0] in _LEFT_OUT:
        return None
    path = _ROOT.joinpath(*rest)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists()), None)


@cache
def _digest(path: Path, is_claim: bool, stamp: int) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body.pop(0)
    if is_claim:
        tree.body = [node for node in tree.body if not _states_claim(node)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _states_claim(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["claim"]
