"""The loop: training by stages, checkpoints, run folders, comparisons. It knows batches and stages, never a system by name."""
