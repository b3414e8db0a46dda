"""How the miniature was made: its world, its encoders, its autoencoder, its generator and the distillation."""
