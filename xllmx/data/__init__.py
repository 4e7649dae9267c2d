"""Samplers, loaders and mixtures of datasets."""
