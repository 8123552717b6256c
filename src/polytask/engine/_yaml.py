"""YAML as configurations need it: plain values, every key once, no alias, names as they are written."""

import re
from typing import Any

import yaml

_DEEPEST = 32
_OURS = "timestamp", "bool", "merge", "value"
"""What plain words are not taken for, unless it is said below."""

_BREAKS = "\x85\u2028\u2029\ufeff"
"""What YAML takes for the end of a line, or of nothing, unless it is escaped."""


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases and deep nesting, so that a small file cannot grow huge or exhaust the stack.

    Keys are strings as written, no key stands twice in a mapping, `no` and `2024-01-31` are words (as in YAML 1.2).
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in _OURS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"is nested more than {_DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key.start_mark)
            if key.value in found:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' stands twice", key.start_mark)
            found[key.value] = self.construct_object(value, deep)  # type: ignore[no-untyped-call]
        return found

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read(content: bytes) -> Any:
    """Raises `ValueError` that says where and what, in one line, for whatever is not YAML, or not this YAML."""
    try:
        return yaml.load(content, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        hint = ". Indent with spaces" if "'\\t'" in str(error.problem) else ""
        raise ValueError(where + " ".join(filter(None, (error.context, error.problem))) + hint) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error).split("\n")[0]) from None


def dump(value: Any) -> str:
    """Text that `read` gives the equal value back from."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    if any(mark in text for mark in _BREAKS):
        return yaml.safe_dump(value, sort_keys=False, width=120)  # type: ignore[no-any-return]
    return text
