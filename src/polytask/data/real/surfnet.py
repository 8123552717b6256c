"""SURFnet, the Dutch research network: which places are joined by fibre, and how far apart they are.

68 links between 50 places (Topology Zoo, Knight et al. 2011; lengths and coordinates by topohub). One row is one link. As a
topology of `quantum_qos_schedule` it is called `surfnet`.
"""

import pyarrow as pa

from . import _files

about = {
    "title": "SURFnet: links of the Dutch research network",
    "origin": "PyPI topohub 1.5.1, topozoo/Surfnet (Internet Topology Zoo)",
    "licence": "MIT (the wheel; the Topology Zoo asks for its paper to be cited)",
    "rows": 68,
    "sha256": "7aad8be7ec7e28aaaec129283a46bea80ffa284d3c5366b610f0b38d40fcf452",
}
tasks = {"km": "regression"}
ignore = ["source", "target", "km"]
modalities: dict[str, list[str]] = {}
split = {"how": "random"}


def load() -> pa.Table:
    """The links: places `source` and `target`, `km`, and the longitude and latitude of both."""
    return _files.read("surfnet", str(about["sha256"]))
