"""Training at a site, in torch alone: local training, the algorithms, where and how the network
runs.
"""
