"""What clients send, read within bounds: bodies, pictures and clips, keys of requests, and the jobs they ask for."""
