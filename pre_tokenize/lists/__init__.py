"""Lists of media and captions, whatever they are written in: rows in order, read in constant memory."""
