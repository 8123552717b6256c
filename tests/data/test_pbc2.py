"""The liver patients as shipped, and their landmark."""

import numpy as np
import pyarrow.compute as pc

from polytask.data.real import pbc2
from polytask.inputs.series import Series


def test_patients_at_risk_and_what_became_of_them():
    table = pbc2.load()
    assert len(table) == pbc2.about["rows"]
    died = table["died"]
    assert (pc.sum(died).as_py(), died.null_count) == (65, 47)
    assert pc.min(table["years_after"]).as_py() > 0
    for label, years, dead in zip(*(table[name].to_pylist() for name in ("died", "years_after", "dead")), strict=True):
        assert label == ((True if dead else None) if years <= pbc2.WINDOW else False)


def test_no_test_is_later_than_the_landmark_or_the_cut():
    for cut in (0.0, 0.5, 1.0):
        events = pbc2.at_landmark(cut)["labs"].combine_chunks().flatten()
        assert pc.max(pc.struct_field(events, "time")).as_py() <= pbc2.LANDMARK - cut
    early, late = (pbc2.at_landmark(cut)["labs"].to_pylist() for cut in (1.0, 0.0))
    assert all(full[: len(before)] == before for before, full in zip(early, late, strict=True))


def test_labs_are_a_series_of_seven_variables():
    labs = pbc2.load()["labs"]
    assert Series.recognises("labs", labs)
    fitted = Series(name="labs").fit(labs)
    assert fitted.variables == 7
    visits = [len({event["time"] for event in row}) for row in labs.to_pylist()]
    assert round(float(np.mean(visits)), 1) == 3.0
    assert fitted.mean[fitted.names.index("albumin")] == np.clip(fitted.mean[fitted.names.index("albumin")], 3, 4)  # g/dl
