"""What must outlive the process: recorded frames today, intents and results later."""
