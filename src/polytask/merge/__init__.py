"""Merging of models that were fine-tuned from one base: task vectors, and coefficients learnt without labels."""
