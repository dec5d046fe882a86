"""Books that can be trusted: which tokens, since when, how fresh, and what to do when not."""
