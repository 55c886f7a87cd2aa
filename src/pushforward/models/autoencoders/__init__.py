"""Autoencoders: rows into latents and back. `latent_size` is the length of a latent in all of them (the GANs, whose
latent is their noise, call theirs `noise_size`).

    Autoencoder   both ways deterministic; it generates only by a law fitted to its codes
    VAE           a bound of the likelihood, or of K draws (IWAE); likelihood by importance sampling
    WAE           the codes' law is drawn to N(0, I) by one of the library's own distances or games
    VQVAE         codes from a codebook, and an autoregressive prior of them
"""

from .plain import Autoencoder
from .vae import VAE
from .vqvae import VQVAE
from .wae import WAE

__all__ = ["VAE", "VQVAE", "WAE", "Autoencoder"]
