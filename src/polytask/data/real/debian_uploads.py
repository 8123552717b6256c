"""Uploads of Debian packages: what changed (text), when and how, and how long until the next upload.

One row an upload of 208 source packages, 2013-01-01 to 2023-03-12 (the hard freeze of Debian 12, where watching ends:
later uploads went to a later Debian). Numbers about earlier uploads look back to the package's first changelog entry.

Columns: source (the package), date (UTC), changes (text, at most 400 characters), urgency, suite, section; lines and
characters of the whole entry; previous_gap and age (days since the previous and the first upload); uploads_before;
closes (bug reports closed); nmu (uploaded by another than the maintainer). Answers: lifetime (days until the next
upload, or until watching ended) and replaced; next_closes_bugs and next_lines, missing for a package's last upload.

E-mail addresses and signatures are taken out; names are replaced by [name] where they are a signer's or stand in a
credit, so a name that a text mentions in another way may remain.
"""

import pyarrow as pa

from . import _files

about = {
    "title": "Debian uploads: text, numbers and time to the next upload",
    "origin": "Debian 12 source packages, debian/changelog (packages and versions: scripts/data/debian_uploads.txt)",
    "licence": "each package's own free licence (Debian main)",
    "rows": 10850,
    "sha256": "35824e35a9cb503e0d83f0c826957650968d67b0e55ba8f9802c487d0b1a995a",
}
tasks = {
    "lifetime": {"kind": "survival", "columns": ["lifetime", "replaced"]},
    "next_closes_bugs": "binary",
    "next_lines": "count",
}
ignore = ["source", "lifetime", "replaced", "next_closes_bugs", "next_lines"]
modalities = {
    "text": ["changes"],
    "upload": ["urgency", "suite", "section", "nmu", "lines", "characters", "closes"],
    "history": ["date", "previous_gap", "age", "uploads_before"],
}
split = {"how": "group", "column": "source"}


def load() -> pa.Table:
    """The uploads, by source and date."""
    return _files.read("debian_uploads", str(about["sha256"]))
