"""Text to ids, video to codes and back."""
