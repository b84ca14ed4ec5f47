"""The made-up country: the network, its people, and the truth."""
