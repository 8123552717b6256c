"""What strings that are no plain numbers or dates look like, for a hint on how to write them."""

import pyarrow as pa
import pyarrow.compute as pc

from polytask.core import DataError, Fault, arrow

_NUMBER = r"[+-]?(\d+([.,]\d*)?|[.,]\d+|[1-9]\d{0,2}([.,' ]\d{3})+([.,]\d*)?)"
_UNIT = r"\s*(%|\p{Sc}|\p{L}{1,3}(/\p{L}{1,4})?)"
_DATE = "Write them as 2026-01-31"
_LOOKS = (
    (rf"^{_NUMBER}$", "numbers with a comma or marks between thousands", "Write them as 1234.5"),
    (rf"^(\p{{Sc}}\s*{_NUMBER}|{_NUMBER}{_UNIT})$", "numbers with a unit", "Write the numbers alone"),
    (r"^(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}[./]\d{1,2}[./]\d{1,2})([ T]\d.*)?$", "dates", _DATE),
    (r"^\d{1,2}[ -]\p{L}{3,9}[ -]\d{2,4}$|^\p{L}{3,9} \d{1,2},? \d{4}$", "dates", _DATE),
)
_MOST = 0.9


def hint(name: str, array: pa.Array) -> Fault | None:
    """What a person would call numbers or dates, and how to write it so that it is read so; None where nothing is to say.

    array: plain cells of the column `name`, of which at least 90 % look so.
    """
    if not arrow.is_text(array.type) or arrow.numeric(array):
        return None
    if arrow.numeric(array, _MOST):
        try:
            arrow.numbers(name, array)
        except DataError as error:
            return error.faults[0]
    for pattern, what, fix in _LOOKS:
        if arrow.all_cells(array, lambda cells, like=pattern: pc.match_substring_regex(cells, like), _MOST):  # type: ignore[misc]
            row = pc.index(array.is_valid(), True).as_py()
            return Fault(f"column '{name}'", f"its cells look like {what}", fix, ((row, array[row].as_py()),))
    return None
