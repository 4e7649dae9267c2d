"""Pictures of clips: sheets, strips, galleries, and the outputs of two models beside each other."""
