"""Published systems, one a file. They are reached by id through `polytask.core.registry` only."""
