"""Synthetic drift with known truth: what changes, how it sets in, and the same series without it."""

from bench.drift.generator import Base, generate
from bench.drift.kinds import Kind
from bench.drift.transitions import Shape, activation
from bench.drift.truth import MAGNITUDES, Drift, Magnitude, Truth

__all__ = [
    "MAGNITUDES",
    "Base",
    "Drift",
    "Kind",
    "Magnitude",
    "Shape",
    "Truth",
    "activation",
    "generate",
]
