"""What must add up: relations between tokens, each with its proof."""
