"""Frozen values: money and orders. No I/O, nothing that changes."""
