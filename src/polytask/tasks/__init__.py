"""Kinds of answer, one a file: loss, metrics, decode, example."""
