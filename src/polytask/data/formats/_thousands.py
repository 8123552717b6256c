"""Numbers as people write them: `1,234.5`, `1.234,5`, `1'234.5`."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Spelling:
    """Marks between thousands, and the mark before decimals."""

    groups: str
    decimal: str

    def read(self, cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """The cells as plain numerals, if all are spelled so and one of them tells that it is not a plain number."""
        group, point = f"[{self.groups}]", f"[{self.decimal}]"
        tells = rf"^[+-]?[1-9]\d{{0,2}}(({group}\d{{3}})+{point}\d+|({group}\d{{3}}){{2,}})$"
        if self.groups != ".":  # a point and three digits are a plain number
            tells = rf"^[+-]?[1-9]\d{{0,2}}({group}\d{{3}})+({point}\d*)?$"
        fits = rf"^[+-]?([1-9]\d{{0,2}}({group}\d{{3}})+|\d+)({point}\d*)?$"
        if (
            any(not pc.all(pc.match_substring_regex(some, fits)).as_py() for some in (cells.slice(0, 100), cells))
            or not pc.any(pc.match_substring_regex(cells, tells)).as_py()
        ):
            return None
        return pc.replace_substring_regex(pc.replace_substring_regex(cells, group, ""), point, ".")


SPELLINGS = (Spelling(",", "."), Spelling(".", ","), Spelling("'\u2019\u00a0\u202f", ".,"))


def plain(cells: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Plain numerals where all cells are numbers of one spelling with marks between thousands; else None."""
    return next((found for spelling in SPELLINGS if (found := spelling.read(cells)) is not None), None)
