"""Parts: reusable modules with shapes in their contract, independent of data sets, balancers and systems."""
