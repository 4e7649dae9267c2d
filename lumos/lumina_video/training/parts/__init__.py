"""The small parts a model is made with, each trained as a task of the engine: the VAE and the text encoder."""
