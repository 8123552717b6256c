"""The sizes in a literal such as `category 5`."""

from polytask.core import OptionError


def check_sizes(name: str, sizes: tuple[int, ...], fit: bool, literal: str) -> None:
    """Raise `OptionError` that shows a right `literal`, unless the sizes `fit` the kind."""
    if not fit or min(sizes, default=1) < 1:
        kind = literal.split()[0]
        raise OptionError.of(f"input '{name}'", f"sizes {sizes} do not fit kind '{kind}'", f"Write for example '{literal}'")
