"""Data: reading, splitting, sampling, inferring a schema, caching."""
