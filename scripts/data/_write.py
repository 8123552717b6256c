"""Writes a table as the package ships it, and prints what its module has to state."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FILES = Path(__file__).parents[2] / "src" / "polytask" / "data" / "real" / "files"


def write(name: str, table: pa.Table, *, split_floats: bool = False) -> None:
    """Write `<name>.parquet`; the same table gives the same bytes under the same version of pyarrow.

    split_floats: store floats byte by byte, which is smaller where nearly all values are different.
    """
    FILES.mkdir(parents=True, exist_ok=True)
    path = FILES / f"{name}.parquet"
    partial = path.with_suffix(".partial")
    table = table.replace_schema_metadata(None).combine_chunks()
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)] if split_floats else []
    others = [field.name for field in table.schema if field.name not in floats]
    pq.write_table(
        table, partial, compression="zstd", compression_level=19, use_byte_stream_split=floats, use_dictionary=others
    )
    partial.replace(path)
    content = path.read_bytes()
    print(f"{name}: {table.num_rows} rows, {table.num_columns} columns, {len(content)} bytes")
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")
