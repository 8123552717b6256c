"""The ledger: runs claims, keeps every result, and gives verdicts by rule."""

from .measured import Measured

__all__ = ["Measured"]
