"""Python companions of the elbo training engine.

checkpoint  a checkpoint as NumPy arrays or as a PyTorch module
plots       training curves and codes as PNG
twin        the engine's model in PyTorch (needs torch)
networks    its encoder and decoder (needs torch)
golden      the golden files the engine's tests compare themselves with (needs torch)
"""
