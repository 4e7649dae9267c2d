"""Kernels of attention: one place that names them, and what each can do."""
