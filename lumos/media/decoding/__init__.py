"""Pictures and videos as a viewer shows them: containers, frames by time or number, high dynamic range."""
