"""What the kinds of answer share about their columns: usable cells on the way in, numbers on the way out."""

import pyarrow as pa
from jaxtyping import Float
from torch import Tensor

from polytask.core import DataError, arrow

_MOST = 1e100
"""So that squares and cubes of targets stay finite."""


def targets(name: str, array: pa.Array) -> arrow.Numbers:
    """Plain cells as float64, NaN where missing. Raises `DataError` naming the rows and values that are no finite numbers."""
    return arrow.numbers(name, array, most=_MOST)


def require_some(name: str, array: pa.Array) -> None:
    """Raise `DataError` where every cell is missing."""
    if array.null_count == len(array):
        fix = "Leave the task out, or give rows that have it"
        raise DataError.of(f"column '{name}'", f"all of its {len(array)} cells are missing", fix)


def array(values: Float[Tensor, "rows"]) -> pa.Array:
    """Predicted numbers as a column."""
    return pa.array(values.double().cpu().numpy())


def check_sizes(name: str, kind: str, sizes: tuple[int, ...], allowed: tuple[int, ...]) -> None:
    """Raise `DataError` where the literal of an example task has a wrong number of sizes."""
    if len(sizes) not in allowed:
        wanted = " or ".join(map(str, allowed))
        fix = f"Write for example '{kind}{' 5' * max(allowed)}'"
        raise DataError.of(f"task '{name}'", f"'{kind}' takes {wanted} sizes; got {sizes}", fix)
