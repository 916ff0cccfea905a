"""Training at a site, in torch alone: local training, algorithms, device and precision."""
