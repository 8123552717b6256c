"""Wines of three cultivars from one region: 178 of them, 13 measurements each."""

import pyarrow as pa
from sklearn.datasets import load_wine

about = {
    "title": "Wine: three cultivars, by chemical analysis",
    "origin": "scikit-learn, sklearn.datasets.load_wine (Forina et al. 1991, UCI)",
    "licence": "BSD-3-Clause (scikit-learn); CC-BY-4.0 (the data, by UCI)",
    "rows": 178,
    "sha256": None,
}
tasks = {"cultivar": "multiclass", "alcohol": "regression", "hue": "regression"}
ignore = ["cultivar", "alcohol", "hue"]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}


def load() -> pa.Table:
    """The wines, with the cultivar as a text."""
    frame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
    return pa.Table.from_pandas(frame.assign(cultivar="cultivar " + frame["cultivar"].astype(str)), preserve_index=False)
