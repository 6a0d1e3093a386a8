"""Weights: published sets, the cache, downloads, and loading them into a network."""
