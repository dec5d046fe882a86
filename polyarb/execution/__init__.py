"""What becomes of a basket after it was planned: events in, actions out."""
