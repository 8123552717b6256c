"""The rules that tell kinds of undeclared columns apart; more than one kind asks them.

A column that no kind recognises (identifiers, empty columns) is not an input.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from polytask.core import arrow

_ID = re.compile(
    r"(^|[\s_.#-])(id|ids|idx|index|sno|s\.?no|serial|no|nr|row|rownames?|row_?number|record|key|uuid|guid)$|^unnamed|^$", re.I
)
_CAMEL_ID = re.compile(r"[a-z](Id|ID|Idx|Index|Key|No)$")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_CODE = re.compile(
    r"area|cat|category|class|cluster|code|country|dow|group|id|key|kind|label|month|region|state|status|type|weekday|zone",
    re.I,
)
_FEW = 20
_SCALE = 5
"""So few whole numbers are more often codes than counts."""
_MOSTLY = 0.99


def looks_numeric(array: pa.Array) -> bool:
    """Whether the cells are numbers, or strings of which at least 99 % are numbers."""
    return arrow.numeric(array, _MOSTLY)


def looks_whole(array: pa.Array) -> bool:
    """Whether the cells are whole numbers, or strings of which at least 99 % are."""
    return arrow.whole(array, _MOSTLY)


def identifies(name: str, array: pa.Array) -> bool:
    """Whether the column only names rows.

    Strings without spaces: at least 95 % of them are different, in more than 20 rows. Whole numbers: every row has another one
    and the column is called like an identifier (`id`, `patient_id`, `sno`, `index`, `PassengerId`, no name).
    """
    cells = array.drop_null()
    rows = len(cells)
    if arrow.is_text(array.type) and not looks_numeric(array):
        return rows > _FEW and arrow.count_distinct(cells) >= 0.95 * rows and not has_spaces(cells)
    called_id = _ID.search(name) or _CAMEL_ID.search(name)
    return bool(called_id) and rows == len(array) and looks_whole(array) and arrow.count_distinct(cells) == rows


def has_spaces(cells: pa.Array) -> bool:
    """Whether at least half of the strings hold a blank."""
    return arrow.all_cells(cells, lambda some: pc.match_substring_regex(some, r"\s"), 0.5)


def is_prose(array: pa.Array) -> bool:
    """Strings with blanks in half of the cells, of which more than half (or more than 1000) are different, and more than 20."""
    if not arrow.is_text(array.type):
        return False
    different, rows = arrow.count_distinct(array), len(array) - array.null_count
    return different > max(_FEW, min(1000, rows / 2)) and has_spaces(array)


def is_code(name: str, array: pa.Array) -> bool:
    """Whole numbers with at most 20 different values, fewer than 5 % of the rows, that do not count something."""
    different, rows = arrow.count_distinct(array), len(array) - array.null_count
    return looks_whole(array) and different < min(_FEW + 1, 0.05 * rows) and not _counts(name, array, different)


def _counts(name: str, array: pa.Array, different: int) -> bool:
    """Whether most whole numbers from 0 or 1 to the largest occur, more than 5, and the name is not that of a code.

    A wrong guess costs little here: a number of so few values has a bin for each, so nothing but their order is assumed.
    """
    if different <= _SCALE or not arrow.whole(array) or any(map(_CODE.fullmatch, _WORD.findall(name))):
        return False
    values = arrow.numbers(name, array.drop_null())
    low, high = values.min(), values.max()
    return bool(low in (0, 1) and different >= 0.8 * (high - low + 1))
