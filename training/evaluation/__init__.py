"""What a checkpoint is worth: measured through the served engine, on held-out episodes and with a stranger."""
