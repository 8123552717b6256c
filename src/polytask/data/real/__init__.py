"""Real data sets that ship with the package, one a file: where it is from, its licence, tasks, inputs and split.

What a module states is told in `polytask.data.shipped`, which finds it by its name.
"""
