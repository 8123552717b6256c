"""The simulated sepsis patients: cuts, matched times, rates, and nothing that gives the label away."""

import numpy as np
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from polytask.data.worlds import sepsis

TABLE = sepsis.simulate(1500, seed=1)


def flat(table):
    """Row, time, variable and value of every measurement."""
    labs = table["labs"].combine_chunks()
    events = labs.flatten()
    row = np.repeat(np.arange(len(table)), labs.value_lengths())
    return row, *(pc.struct_field(events, name).to_numpy(zero_copy_only=False) for name in ("time", "variable", "value"))


def lengths(table):
    return table["labs"].combine_chunks().value_lengths().to_numpy()


def test_the_default_is_what_is_stated():
    table = sepsis.load()
    assert len(table) == sepsis.about["rows"]
    assert pc.sum(table["sepsis"]).as_py() == 40
    assert "simulated" in sepsis.about["title"].lower()


def test_records_end_before_the_horizon_and_are_the_same_up_to_it():
    for horizon in (0.0, 7.0):
        row, time, *_ = flat(sepsis.simulate(60, horizon, seed=3))
        onset = sepsis.simulate(60, horizon, seed=3)["onset"].to_numpy()
        assert (time < onset[row] - horizon).all()
    early, late = sepsis.simulate(60, 7.0, seed=3), sepsis.simulate(60, 0.0, seed=3)
    for before, full in zip(early["labs"].to_pylist(), late["labs"].to_pylist(), strict=True):
        assert full[: len(before)] == before
    assert sepsis.simulate(60, 0.0, seed=3) == late
    assert sepsis.simulate(60, 0.0, seed=4) != late


def test_what_comes_after_the_cut_is_not_in_the_table(monkeypatch):
    def shifted(rng, patients):
        return 100.0 + drift(rng, patients)

    drift, before = sepsis._drift, sepsis.simulate(60, 40.0, seed=3)  # 40 hours before the onset no drift has begun
    monkeypatch.setattr(sepsis, "_drift", shifted)
    after = sepsis.simulate(60, 40.0, seed=3)
    for old, new in zip(before["labs"].to_pylist(), after["labs"].to_pylist(), strict=True):
        np.testing.assert_allclose([e["value"] for e in old], [e["value"] for e in new], atol=1e-2)


def test_times_of_onset_say_nothing():
    label, onset = TABLE["sepsis"].to_numpy(), TABLE["onset"].to_numpy()
    assert abs(roc_auc_score(label, onset) - 0.5) < 0.07
    row, time, *_ = flat(TABLE)
    last = np.maximum.reduceat(time, np.flatnonzero(np.diff(row, prepend=-1)))
    assert abs(roc_auc_score(label, last) - 0.5) < 0.07


def test_vital_signs_are_hourly_and_laboratory_values_rarer():
    row, _, variable, value = flat(TABLE)
    well = ~TABLE["sepsis"].to_numpy()
    hours = TABLE["onset"].to_numpy()[well].sum()
    for name, rate, level in zip(sepsis.VARIABLES, sepsis.RATE, sepsis.LEVEL, strict=True):
        here = (variable == name) & well[row]
        assert here.sum() / hours == pytest.approx(rate, rel=0.06)
        assert np.median(value[here]) == pytest.approx(level, rel=0.03)
    assert (np.diff(flat(TABLE)[1])[np.diff(row) == 0] >= 0).all()


def test_the_ill_are_measured_more_often_and_drift_most_at_the_onset():
    label = TABLE["sepsis"].to_numpy()
    row, time, variable, value = flat(TABLE)
    before = TABLE["onset"].to_numpy()[row] - time
    assert lengths(TABLE)[label].mean() > 1.05 * lengths(TABLE)[~label].mean()
    rates = [value[(variable == "heart rate") & label[row] & (before > a) & (before < b)].mean() for a, b in ((20, 30), (0, 3))]
    assert rates[1] > rates[0] + 5


def test_measurements_have_heavy_tails():
    row, _, variable, value = flat(TABLE)
    rates = value[(variable == "heart rate") & ~TABLE["sepsis"].to_numpy()[row]]
    standard = (rates - rates.mean()) / rates.std()
    assert (standard**4).mean() > 3.5  # a normal distribution has 3
