"""What a finding means to the author of a plug-in: why it matters, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """Why a finding matters, and what to do."""

    why: str
    what_to_do: str


EXPLAINED = {
    r"^leaks on purpose": Explanation(
        "The group 'leaky' shows what a leak is worth. Reports list such a strategy and never rank it.",
        "Nothing, if that is meant. Otherwise take the group out of the class.",
    ),
    r"^leaks: trained": Explanation(
        "Weights that depend on the stream know what they are to forecast.",
        "Train on the pairs that are passed to fit or train_parts, and on nothing else.",
    ),
    r"^leaks: ": Explanation(
        "In deployment these rows do not exist yet: the forecast could not be made, and its error means nothing. "
        "Reports never rank such a strategy.",
        "Compute forecast k from windows[k] and from what setup, observe and adapt were given. Usual causes: a mean, a "
        "sort or a normalisation over all windows of a block, and an index that is one row too far.",
    ),
    r"^tampers|^it changed the windows": Explanation(
        "Other strategies and the score are computed from the same rows.",
        "Write to arrays of your own: windows.clone(), and no operation in place (a name that ends with _) on what you "
        "are given.",
    ),
    r"keeps the harness's own rows|^depends on the order of runs": Explanation(
        "What outlasts a run carries its stream, and so its truths, into the next one; and a run's numbers "
        "would depend on what ran before it.",
        "Keep all state on self and set it in setup(). Usual causes: an attribute of the class that is a list, a "
        "dictionary or a tensor, a global, functools.cache.",
    ),
    r"^not deterministic|two trainings from the same seed": Explanation(
        "Two runs of one seed must agree, or no number of the report can be computed again.",
        "Draw from self.rng, or from torch, which is seeded. Do not use the clock, hash() of a text, or the order of "
        "a set.",
    ),
    r"^reads nothing": Explanation(
        "If no row changes a forecast, the canary cannot show that no later row does.",
        "Look whether predict uses its windows, and adapt its feedback. A constant forecast says reads = False.",
    ),
    r"^trace\(\) changed": Explanation(
        "How often a run is watched would decide its numbers.",
        "Let trace() compute from a copy, and draw no random number.",
    ),
    r"^serves nothing": Explanation(
        "It refused, or failed on, every schedule, so that nothing could be checked.",
        "Read the first refusal above. check_service should refuse only what the options cannot serve.",
    ),
    r"^no registered forecaster offers": Explanation(
        "The strategy can then run on nothing.", "Mend needs in the class, or name a forecaster's file with --plugins."
    ),
    r"^a forecast has shape|^it offers any-window": Explanation(
        "Forecasts are compared with truths of (B, H, C_out).",
        "Take the sizes from task and from the window, not from one dataset; keep the axes of lead and target apart.",
    ),
    r"^a forecast is not finite": Explanation(
        "One NaN or infinity makes the error of the whole run undefined.",
        "Look for a division by a deviation of 0, a logarithm, or weights that grew without bound.",
    ),
    r"^a forecaster read back": Explanation(
        "Checkpoints are shared by runs: the next one would serve another model.",
        "Keep what decides forecasts in parameters or register_buffer, so that state_dict holds it.",
    ),
    r"depends on the other windows of its batch": Explanation(
        "In service windows come one at a time or in blocks: errors would depend on the block.",
        "Normalise each window by itself, and leave batch normalisation in eval mode.",
    ),
    r"^it offers gradients": Explanation(
        "Strategies that train the forecaster would train nothing.",
        "Return tensors that carry gradients: no detach, no_grad or numpy in forward. Or take 'gradients' "
        "out of provides.",
    ),
    r"^it offers functional": Explanation(
        "Strategies that compute with other weights for each window would get wrong ones.",
        "Use no operation in place and no state in forward, or take 'functional' out of provides.",
    ),
    r"; trained, each once: ": Explanation(
        "Strategies that train the head only, or the backbone only, would miss or repeat weights.",
        "Name in head_modules and backbone_modules every module with weights once, or leave both out.",
    ),
    r"^its value is|^what add returns": Explanation(
        "The same forecasts must give one value, whatever the block.",
        "Let add treat each origin by itself, and count sums and numbers, not means of means.",
    ),
    r"^it has no value on noise": Explanation(
        "Its column would be empty.",
        "Raise bench.UndefinedError only where the series has no value, such as a constant one.",
    ),
    r"^two loads give different series": Explanation(
        "Runs on it could not be compared.", "Seed the generator in load: np.random.default_rng(0)."
    ),
    r"Leave it out of the inputs$": Explanation(
        "The input has the truth before its time: every strategy that reads it would look good.",
        "Leave the column out (drop), or shift it so that each row has only what was known then.",
    ),
}
"""Patterns of findings, the first that fits."""


def explanation(finding: str) -> Explanation | None:
    """What a finding means; None for an error that a plug-in raised."""
    return next((said for pattern, said in EXPLAINED.items() if re.search(pattern, finding)), None)
