"""What may be traded, and how much of it."""
