"""Kinds of question, one a file: infer, decode, statistics, example."""
