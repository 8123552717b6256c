"""The rules that tell kinds of undeclared columns apart; more than one kind asks them.

A column that no kind recognises (identifiers, empty columns) is not an input.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from . import _arrow

_ID = re.compile(
    r"(^|[\s_.#-])(id|ids|idx|index|sno|s\.?no|serial|no|nr|row|rownames?|row_?number|record|key|uuid|guid)$|^unnamed|^$", re.I
)
_CAMEL_ID = re.compile(r"[a-z](Id|ID|Idx|Index|Key|No)$")
_FEW = 20


def identifies(name: str, array: pa.Array) -> bool:
    """Whether the column only names rows.

    Strings without spaces: at least 95 % of them are different, in more than 20 rows. Whole numbers: every row has another one
    and the column is called like an identifier (`id`, `patient_id`, `sno`, `index`, `PassengerId`, no name).
    """
    cells = array.drop_null()
    rows = len(cells)
    if _arrow.is_text(array.type) and not _arrow.looks_numeric(array):
        return rows > _FEW and _arrow.distinct(cells) >= 0.95 * rows and not has_spaces(cells)
    called_id = _ID.search(name) or _CAMEL_ID.search(name)
    return bool(called_id) and rows == len(array) and _arrow.whole(array) and _arrow.distinct(cells) == rows


def has_spaces(cells: pa.Array) -> bool:
    """Whether at least half of the strings hold a blank."""
    return _arrow.all_cells(cells, lambda some: pc.match_substring_regex(some, r"\s"), 0.5)


def is_prose(array: pa.Array) -> bool:
    """Strings with blanks in half of the cells, of which more than half (or more than 1000) are different, and more than 20."""
    if not _arrow.is_text(array.type):
        return False
    different, rows = _arrow.distinct(array), len(array) - array.null_count
    return different > max(_FEW, min(1000, rows / 2)) and has_spaces(array)


def is_code(array: pa.Array) -> bool:
    """Whole numbers with at most 20 different values, fewer than 5 % of the rows."""
    return _arrow.whole(array) and _arrow.distinct(array) < min(_FEW + 1, 0.05 * (len(array) - array.null_count))
