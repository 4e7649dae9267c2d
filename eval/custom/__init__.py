"""Images and videos for a list of prompts of one's own."""
