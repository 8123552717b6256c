"""Simulated: two regression tasks whose correlation is set, as Ma et al. (2018, section 3.1) generate them.

`y_k = w_k x + sum_i sin(alpha_i w_k x + beta_i) + noise`, with `w_1 = u_1` and `w_2 = p u_1 + sqrt(1 - p^2) u_2` for orthogonal
unit vectors `u_1`, `u_2` of 100 numbers, `x` standard normal. At `p = 1` both tasks are one, at `p = 0` they share nothing.
"""

import numpy as np
import pyarrow as pa

about = {
    "title": "Correlated tasks: a simulator of two regressions",
    "origin": "simulated as in Ma et al. 2018, section 3.1",
    "licence": "none needed",
    "rows": 10000,
    "sha256": None,
}
tasks = {"first": "regression", "second": "regression"}
ignore = ["first", "second"]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}
inputs = {"x": {"kind": "vector"}}

WIDTH = 100
WAVES = 6
NOISE = 0.1
"""Deviation of the noise: its variance is 0.01."""


def load() -> pa.Table:
    """10,000 rows at a correlation of 0.5."""
    return table(0.5, 10_000, 0)


def table(correlation: float, rows: int, seed: int) -> pa.Table:
    """`rows` rows; `correlation` is the cosine of the two tasks' weights. A seed gives the same inputs at any correlation.

    The paper leaves alpha and beta open: here the frequencies are 0.5, 1, ..., 3 and the phases are drawn.
    """
    random = np.random.default_rng([seed, 2018])
    basis = np.linalg.qr(random.standard_normal((WIDTH, 2)))[0].T
    frequencies, phases = 0.5 * np.arange(1, WAVES + 1), random.uniform(0, 2 * np.pi, WAVES)
    x = random.standard_normal((rows, WIDTH))
    noise = NOISE * random.standard_normal((2, rows))
    weights = (basis[0], correlation * basis[0] + np.sqrt(1 - correlation**2) * basis[1])
    answers = {}
    for name, w, error in zip(tasks, weights, noise, strict=True):
        z = x @ w
        answers[name] = pa.array(z + np.sin(np.outer(z, frequencies) + phases).sum(1) + error)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float32).ravel()), WIDTH)
    return pa.table({"x": cells, **answers})
