"""What each paper claims, made executable: one file a claim, of the same name as its system or balancer.

A file states `claim = {...}`, a literal that `polytask.ledger.claim.Claim` describes, and a function
`measure(arm, seed, size) -> Measured`. There is no list to edit.
"""
