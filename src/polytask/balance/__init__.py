"""Balancers: rules from losses or Gramians to task weights, one a file."""
