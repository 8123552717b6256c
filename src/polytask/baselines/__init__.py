"""Honest rivals under the systems' contract, one a file."""
