"""The conformance suites, shipped: what every system, kind of task, kind of input and weighting must hold."""

from ._report import Check, Report
from .systems import check_system

__all__ = ["Check", "Report", "check_system"]
