"""Synthetic drift with known truth: what changes, how it sets in, and the same series without it."""

from bench.contracts.drift.kinds import Kind
from bench.contracts.drift.transitions import Shape, activation
from bench.contracts.drift.truth import MAGNITUDES, Drift, Magnitude, Truth
from bench.data.synthetic.generator import Base, generate

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
