"""From a socket's bytes to the books: one connection, many of them, and what moves their bytes."""
