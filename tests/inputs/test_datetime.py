import datetime as dt
import math

import pandas as pd
import pyarrow as pa
import pytest
import torch

from polytask.core import DataError
from polytask.inputs.datetime import DateTime


def chunked(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def test_features_follow_the_calendar():
    stamps = pd.date_range("2024-01-01", periods=700, freq="13h")
    fitted = DateTime(name="t").fit(chunked(stamps))
    column, present = fitted.encode(chunked(stamps))
    assert present.all()
    assert fitted.cycles == ("day", "week", "year")
    assert column.shape == (700, fitted.size)
    torch.testing.assert_close(column[:, 0].mean(), torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(column[:, 0].std(correction=0), torch.tensor(1.0))
    turns = {"day": stamps.hour / 24, "week": stamps.day_of_week / 7, "year": (stamps.day_of_year - 1) / 366}
    for place, turn in enumerate(turns.values()):
        angle = 2 * math.pi * torch.tensor(turn.to_numpy())
        torch.testing.assert_close(column[:, 1 + 2 * place].double(), angle.sin(), atol=1e-5, rtol=0)
        torch.testing.assert_close(column[:, 2 + 2 * place].double(), angle.cos(), atol=1e-5, rtol=0)


def test_only_cycles_that_vary_are_kept():
    dates = [dt.date(2026, 3, 2) + dt.timedelta(days=7 * i) for i in range(9)]
    assert DateTime(name="t").fit(chunked(dates)).cycles == ("year",)


def test_types_that_mean_the_same_give_the_same():
    days = [dt.datetime(2026, 1, 30), dt.datetime(1969, 7, 20), None]
    fitted = DateTime(name="t").fit(chunked(days))
    expected = fitted.encode(chunked(days))
    for column in [
        chunked([day and day.date() for day in days]),
        chunked(days, pa.timestamp("s")),
        chunked(days, pa.timestamp("ns", "UTC")),
        chunked(days, pa.date64()),
        chunked(["2026-01-30", "1969-07-20T00:00:00", " "]),
        chunked(["2026-01-30T02:00:00+02:00", "1969-07-20", None]),
    ]:
        for found, wanted in zip(fitted.encode(column), expected, strict=True):
            assert torch.equal(found, wanted)


def test_aware_moments_are_read_on_the_clock_of_the_training_column():
    summer = [dt.datetime(2026, 7, 1, 10), dt.datetime(2026, 1, 1, 11)]  # both noon in Berlin
    berlin = DateTime(name="t").fit(chunked(summer, pa.timestamp("us", "Europe/Berlin")))
    assert "day" not in berlin.cycles
    assert torch.equal(
        berlin.encode(chunked(summer, pa.timestamp("us", "UTC")))[0],
        berlin.encode(chunked(summer, pa.timestamp("ms", "Europe/Berlin")))[0],
    )


def test_absent_and_constant_columns():
    fitted = DateTime(name="t").fit(chunked([None, dt.date(2026, 1, 1)]))
    column, present = fitted.encode(pa.chunked_array([pa.nulls(2)]))
    assert not present.any()
    assert column.tolist() == [[0], [0]]
    assert fitted.encode(chunked([dt.date(9999, 1, 1)]))[0].tolist() == [[10]]
    assert DateTime(name="t").fit(pa.chunked_array([pa.nulls(2)])).size == 1


def test_errors_name_rows_and_values():
    with pytest.raises(DataError, match=r"column 't': 2 of 3 cells are no dates \(row 1: '2026-02-30', row 2: 'soon'\)"):
        DateTime(name="t").fit(chunked(["2026-02-28", "2026-02-30", "soon"]))
    with pytest.raises(DataError, match="cells of type int64 are not dates"):
        DateTime(name="t").fit(chunked([2026]))
