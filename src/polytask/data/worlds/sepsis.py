"""Simulated patients on a ward, some of whom are about to have sepsis: vital signs and laboratory values at irregular times.

Nothing here is data of patients; the numbers are made up to be of a usual size. Six values follow a smooth random path (an
Ornstein-Uhlenbeck process driven by another one, correlated between values), a daily rhythm and the patient's own level; each
measurement has a heavy-tailed error (Student's t, 3 degrees of freedom). Neither is what a Gaussian process of one
Ornstein-Uhlenbeck kernel assumes. Four vital signs are measured about once an hour, two laboratory values about once in eight
hours, up to twice as often as a patient gets worse. Before the onset a drift builds up over twelve hours (a logistic curve), of
random size and, for each value, now and then of the unusual sign.

Every patient's record ends `horizon` hours before the onset; patients without sepsis have a pseudo-onset from the same
distribution of times, so that the length of a record says nothing.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64

about = {
    "title": "Simulated sepsis: irregular vital signs and laboratory values before the onset",
    "origin": "simulated by this module",
    "licence": "Apache-2.0 (part of this package)",
    "rows": 400,
    "sha256": None,
}
tasks = {"sepsis": "binary"}
ignore = ["patient", "onset", "sepsis"]
modalities = {"labs": ["labs"]}
split = {"how": "random"}

STEP = 0.25
"""Hours between the points of a simulated path."""
LONGEST = 48.0
"""Hours of the longest stay before its (pseudo-)onset."""
SHORTEST = 18.0
VARIABLES = ("heart rate", "mean arterial pressure", "respiratory rate", "temperature", "lactate", "leucocytes")
LEVEL = np.array([85.0, 82.0, 18.0, 37.0, 1.4, 9.0])
SCALE = np.array([14.0, 11.0, 4.0, 0.6, 0.6, 3.0])
RATE = np.array([1.0, 1.0, 1.0, 1.0, 0.125, 0.125])
"""Measurements an hour of a patient in good state."""
RHYTHM = np.array([0.4, 0.3, 0.2, 0.5, 0.0, 0.0])
USUAL = np.array([1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
"""The usual sign of the drift."""


def load() -> pa.Table:
    """400 patients, a tenth of them with sepsis, up to the onset."""
    return simulate()


def simulate(patients: int = 400, horizon: float = 0.0, seed: int = 0, prevalence: float = 0.1) -> pa.Table:
    """A row a patient: `patient`, `labs` (list of time in hours, variable, value, up to `horizon` hours before the onset),
    `onset` (or pseudo-onset; hours), `sepsis`.

    The same seed gives the same patients at every horizon.
    """
    rng = np.random.default_rng(seed)
    sepsis = rng.permutation(np.arange(patients) < round(prevalence * patients))
    onset = rng.uniform(SHORTEST, LONGEST, patients)
    time = np.arange(0.0, LONGEST, STEP)
    severity = 1 / (1 + np.exp(-(time - onset[:, None] + 6) / 2)) * sepsis[:, None]
    values = _paths(rng, time, patients) + _drift(rng, patients)[:, None] * severity[..., None]
    taken = rng.random(values.shape) < RATE * STEP * (1 + severity[..., None])
    when = time[:, None] + STEP * rng.random(values.shape)
    values = LEVEL + SCALE * (values + 0.3 * rng.standard_t(3, values.shape))
    taken &= when < onset[:, None, None] - horizon
    return pa.table(
        {
            "patient": np.arange(patients),
            "labs": _lists(taken, when, values),
            "onset": onset,
            "sepsis": sepsis,
        }
    )


def _paths(
    rng: np.random.Generator, time: Float64[np.ndarray, "times"], patients: int
) -> Float64[np.ndarray, "patients times values"]:
    """Smooth stationary paths of unit variance, the daily rhythm and the patients' own levels, in deviations."""
    count = len(VARIABLES)
    mix = np.linalg.cholesky(0.7 * np.eye(count) + 0.3 * np.outer(USUAL, USUAL))
    shape = (patients, count)
    # Two leaky integrators in a row, of 3 and 6 hours, started in the past so that they have forgotten their start.
    past = round(24 / STEP)
    fast, slow = np.zeros(shape), np.zeros(shape)
    keep, hold = np.exp(-STEP / 3), np.exp(-STEP / 6)
    path = np.empty((patients, len(time), count))
    for i in range(-past, len(time)):
        fast = keep * fast + np.sqrt(1 - keep**2) * rng.standard_normal(shape) @ mix.T
        slow = hold * slow + (1 - hold) * fast
        if i >= 0:
            path[:, i] = slow
    path *= 0.8 / np.sqrt((1 - hold) / (1 + hold) * (1 + hold * keep) / (1 - hold * keep))
    hours = 2 * np.pi * (time + rng.uniform(0, 24, (patients, 1))) / 24
    path += RHYTHM * np.sin(hours)[..., None] + 0.6 * rng.standard_normal((patients, 1, count))
    return path


def _drift(rng: np.random.Generator, patients: int) -> Float64[np.ndarray, "patients values"]:
    """What a full sepsis adds to each value, in deviations."""
    shape = (patients, len(VARIABLES))
    size = rng.gamma(3.0, 0.5, shape)
    sign = np.where(rng.random(shape) < 0.2, -USUAL, USUAL)
    return np.asarray(size * sign)


def _lists(
    taken: Bool[np.ndarray, "patients times values"],
    when: Float64[np.ndarray, "patients times values"],
    values: Float64[np.ndarray, "patients times values"],
) -> pa.ListArray:
    """The measurements taken, as one list a patient, in order of time."""
    patient, _, variable = np.nonzero(taken)
    order = np.lexsort((when[taken], patient))
    fields = {
        "time": pa.array(when[taken][order]),
        "variable": pa.array(np.array(VARIABLES)[variable][order]),
        "value": pa.array(values[taken][order]),
    }
    offsets = np.concatenate([[0], np.cumsum(np.bincount(patient, minlength=len(taken)))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(fields.values()), list(fields)))
