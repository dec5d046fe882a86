"""Slow, obvious twins of what polyarb computes fast; written from the standards, stdlib only."""
