"""Implicit generative modelling: fit a generator, sample from it, compare two sets of samples."""

__version__ = "0.1.0"
