"""What a run reports while it goes: its log, means of its steps and their speed, losses of held-out batches."""
