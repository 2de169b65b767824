"""What an experiment says of its tuning."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from bench.contracts.config import Config, Seed


class TuneOptions(Config):
    """What ``bench tune`` tries.

    Attributes:
        sampler: ``sobol`` spreads ``trials`` points over what plug-ins declare (`bench.Search`); ``grid`` tries all
            combinations of the values of ``grid``.
        trials: For each strategy, forecaster and dataset, the defaults among them; fewer where there are no more.
        seed: Of the Sobol design.
        seeds: So many of the experiment's seeds, the first, are tried; None tries all.
        grid: Values by ``<strategy or forecaster>.<option>``, nested options by further dots. Several options of one
            plug-in, and of a strategy and its forecaster, make a product.
    """

    sampler: Literal["sobol", "grid"] = "sobol"
    trials: PositiveInt = 8
    seed: Seed = 0
    seeds: PositiveInt | None = None
    grid: dict[str, list[Any]] = Field({})

    @model_validator(mode="after")
    def _grid_has_its_sampler(self) -> Self:
        if self.grid and self.sampler != "grid":
            raise ValueError("a grid is tried by the sampler 'grid': set sampler = \"grid\", or leave the grid out")
        return self
