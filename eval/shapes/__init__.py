"""Evaluation on the bundled shapes world: prompts never trained on, clips read back by rule, scores by tag."""
