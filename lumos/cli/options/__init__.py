"""Options that several commands and drivers share, and errors that name the option that was typed."""
