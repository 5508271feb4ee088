"""Python companions of the elbo training engine.

checkpoint  loads a checkpoint as NumPy arrays or as a PyTorch module
plots       draws training curves and codes as PNG
twin        the engine's model in PyTorch (needs torch)
networks    the encoder and decoder of that model (needs torch)
golden      writes the golden files of the engine's tests (needs torch)
"""
