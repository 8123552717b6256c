import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from polytask.core.registry import kind, kinds

DAY = dt.datetime(2026, 1, 30)
PROSE = [f"patient number {i} came in with pain" for i in range(60)]


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def recognised(name, column):
    ranked = sorted((kind("inputs", k) for k in kinds("inputs")), key=lambda k: k.rank)
    return next((k.kind for k in ranked if k.recognises(name, column)), None)


TABLE = [
    # numbers
    ("age", chunked([i / 7 for i in range(60)]), "number"),
    ("age", chunked(list(range(20, 80))), "number"),
    ("age", chunked([*range(20, 80), None]), "number"),
    ("price", chunked([Decimal("1.20"), Decimal("2.50")]), "number"),
    ("price", chunked([f"{i}.5" for i in range(200)] + ["?"]), "number"),
    ("shift", chunked([dt.timedelta(hours=i) for i in range(30)]), "number"),
    ("faulty", chunked([1.5, float("inf")] * 60), "number"),
    ("few rows", chunked([2, 3, 2, 3]), "number"),
    ("number of rooms", chunked(list(range(60))), "number"),
    # categories
    ("ward", chunked(["a", "b", None, "a"]), "category"),
    ("ward", chunked(["a", "b", "a"]).dictionary_encode(), "category"),
    ("grade", chunked([1, 2, 3] * 40), "category"),
    ("grade", chunked([1.0, 2.0, 3.0, None] * 40), "category"),
    ("grade", chunked(["1", "2", "3"] * 40), "category"),
    ("grade", chunked([*["1", "2", "3"] * 80, "x"]), "category"),
    ("job", chunked(["works in an office", "works at home"] * 30), "category"),
    ("ticket", chunked([f"T{i % 50}" for i in range(60)]), "category"),
    ("region_code", chunked(list(range(1, 9)) * 30), "category"),
    ("countryCode", chunked(list(range(8)) * 30), "category"),
    ("sparse", chunked([0, 9, 26, 37, 41, 44, 55, 61] * 30), "category"),
    # counts
    ("num.co", chunked(list(range(8)) * 30), "number"),
    ("rating", chunked([*range(1, 9), 10, None] * 30), "number"),
    ("rating", chunked([str(float(i)) for i in range(1, 11)] * 30), "number"),
    # booleans
    ("smokes", chunked([True, False, None]), "boolean"),
    ("smokes", chunked([0, 1, 1]), "boolean"),
    ("smokes", chunked([0.0, 1.0, None]), "boolean"),
    ("smokes", chunked(["Yes", "no", ""]), "boolean"),
    ("smokes", chunked(["TRUE", "False"]).dictionary_encode(), "boolean"),
    # moments
    ("seen", chunked([DAY, None]), "datetime"),
    ("seen", chunked([DAY.date()]), "datetime"),
    ("seen", chunked([DAY], pa.timestamp("ns", "Europe/Paris")), "datetime"),
    ("seen", chunked(["2026-01-30", "2026-01-31"]), "datetime"),
    ("seen", chunked(["2026-01-30 10:00", "2026-01-31T11:12:13.5+02:00", None]), "datetime"),
    # the rest
    ("notes", chunked(PROSE), "text"),
    ("name", chunked([f"Smith, {i}" for i in range(60)]), "text"),
    ("photo", chunked(["a.png", "b/c.JPG", None]), "image"),
    ("voice", chunked(["a.wav", "b.flac"]), "audio"),
    ("spectrum", chunked([[1.0, 2.0], None, [3.0, 4.0]]), "vector"),
    ("spectrum", chunked([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)), "vector"),
    # no input
    ("code", chunked([f"X{i}" for i in range(60)]), None),
    ("sno", chunked(list(range(1, 61))), None),
    ("PassengerId", chunked(list(range(1, 61))), None),
    ("customer_id", chunked([i * 7919 % 1009 for i in range(60)]), None),
    ("Unnamed: 0", chunked([str(i) for i in range(60)]), None),
    ("empty", pa.chunked_array([pa.nulls(5)]), None),
    ("empty", chunked([None, None], pa.float64()), None),
    ("empty", chunked(["", " "]), None),
    ("no rows", chunked([], pa.string()), None),
    ("lists", chunked([[1], [1, 2]]), None),
    ("structs", chunked([{"a": 1}]), None),
]


@pytest.mark.parametrize(("name", "column", "expected"), TABLE)
def test_a_column_is_of_one_kind_or_none(name, column, expected):
    assert recognised(name, column) == expected
