"""The nouns of polytask. No input or output, no field of application."""

from .balancer import Balancer, Update, Weighting
from .batch import Batch, Column, Columns, Graph, Ragged, Record
from .card import Card
from .errors import DataError, MissingExtra, OptionError, PolytaskError, RunError
from .option import fitted, opt
from .schema import Input, Schema
from .source import Source
from .stage import Fit, Parameters, Solve, Stage
from .system import PerTask, System
from .task import Task

__all__ = [
    "Balancer",
    "Batch",
    "Card",
    "Column",
    "Columns",
    "DataError",
    "Fit",
    "Graph",
    "Input",
    "MissingExtra",
    "OptionError",
    "Parameters",
    "PerTask",
    "PolytaskError",
    "Ragged",
    "Record",
    "RunError",
    "Schema",
    "Solve",
    "Source",
    "Stage",
    "System",
    "Task",
    "Update",
    "Weighting",
    "fitted",
    "opt",
]
