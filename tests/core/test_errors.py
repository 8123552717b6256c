"""Faults and how they are gathered."""

import pytest

from polytask.core import DataError, Fault, OptionError
from polytask.core.errors import Faults


def test_gathered_errors_join_the_others_and_the_work_goes_on() -> None:
    faults = Faults()
    with faults.gather():
        raise OptionError.of("a", "is wrong")
    faults.add("b", "is wrong too")
    with faults.gather([4, 7, 9]):
        raise DataError(Fault("c", "1 of 3 cells are odd", "Mend it", ((2, "x"),)))
    assert list(map(str, faults)) == ["a: is wrong", "b: is wrong too", "c: 1 of 3 cells are odd (row 9: 'x'). Mend it"]


def test_other_errors_are_not_gathered() -> None:
    with pytest.raises(ZeroDivisionError), Faults().gather():
        raise ZeroDivisionError
