"""One frame on its way: its codes and tokens, what it looks back at, and the branches of guidance that read them."""
