"""Docstrings as the site shows them: lines `name: what it is` become a list."""

import re
from typing import Any

import griffe

_LINE = re.compile(r"^(\w+(?:, \w+)*): (?=\S)")
_NOT = {"Errors", "Raises", "Example", "Shapes"}


def listed(text: str) -> str:
    """The text with a list item for each line that explains a parameter or a field; what follows belongs to it."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and match.group(1) not in _NOT:
            if not inside:
                lines.append("")
            names = ", ".join(f"`{name}`" for name in match.group(1).split(", "))
            lines.append(f"- {names}: {line[match.end() :]}")
            inside = True
        else:
            if inside and line and not line.startswith(" "):  # the list has ended
                lines.append("")
                inside = False
            lines.append(line)
    return "\n".join(lines)


class Listed(griffe.Extension):
    """Rewrites every docstring."""

    def on_instance(self, *, obj: griffe.Object, **more: Any) -> None:
        """Called by griffe for each object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = listed(obj.docstring.value)
