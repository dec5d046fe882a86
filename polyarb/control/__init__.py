"""Where everything is wired together and run."""
