"""Simulators and environments, one a file: physical or statistical, and named as such."""
