"""Tensor stores: arrays under keys."""
