"""What becomes of a basket after it was planned: events in, actions out."""
"""From an opportunity to cash: machines and plans without I/O."""
