"""polytask: one model for many tasks."""
