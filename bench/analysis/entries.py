"""Which runs belong together: their scenario, and their entry of the tables."""

from __future__ import annotations

import json

import pandas as pd

from bench.contracts.protocol import Protocol

PROTOCOL = ["lookback", "horizon", "stride", "block", "label_every", "warm_start"]
LABELS = ["labels", "label_rate", "label_seed", "delay"]  # optional columns that distinguish protocols
TUNED = {"": "tuned"}
"""Among options in JSON: they were chosen by ``bench tune``, and may be others on each dataset."""
PLAIN = {  # every label, as early as possible
    column: Protocol.model_fields[column].default for column in ("label_every", *LABELS)
}


def with_entries(runs: pd.DataFrame) -> pd.DataFrame:
    """Name what is compared with what.

    Runs of one ``scenario`` (dataset and protocol) are comparable. Runs of one ``entry`` (strategy and forecaster,
    with their options) differ only in the seed. Names are as short as uniqueness allows.

    Args:
        runs: As `bench.load_results` gives it. The text columns ``dataset_options``, ``fingerprint`` and
            ``forecaster_options`` make more runs unequal where they are there. `TUNED` among the options of a strategy
            makes another entry, among those of a forecaster another base.

    Returns:
        The same rows with the columns ``scenario``, ``entry``, ``base`` (the forecaster with its options, or
        ``none``) and ``protocol_label``.
    """
    if {"scenario", "entry", "base", "protocol_label"} <= set(runs.columns):
        return runs
    runs = runs.copy()
    runs["protocol_label"] = _protocol_labels(runs)
    runs["scenario"] = shortest_names(scenario_parts(runs))
    tuned = is_tuned(runs["forecaster_options"]) if "forecaster_options" in runs else runs["strategy"].isna()
    base = _bases(_as_untuned(runs, tuned))
    runs["base"] = base + tuned.map({True: " (tuned)", False: ""})
    entry = runs["strategy"] + options_text(runs["strategy_config"])
    if base[base != "none"].nunique() > 1:
        entry += (" + " + base).where(base != "none", "")
    runs["entry"] = entry
    return runs


def is_tuned(options: pd.Series) -> pd.Series:
    """Booleans: options in JSON that ``bench tune`` chose."""
    return options.str.contains(json.dumps(TUNED)[1:-1], regex=False)


def as_untuned(options: str) -> str:
    """Options in JSON as they are without tuning."""
    return json.dumps({key: value for key, value in json.loads(options).items() if key}, sort_keys=True)


def leaky_scenarios(runs: pd.DataFrame) -> set[str]:
    """Scenarios whose labels came, on purpose, before they could be known; nothing in them is ranked."""
    return set(runs.loc[runs["labels"] == "instant", "scenario"]) if "labels" in runs else set()


def is_barred(frame: pd.DataFrame) -> pd.Series:
    """Booleans: rows that are never ranked.

    Their ``group`` is leaky; or, where these columns are there, their ``audit`` failed, or ``labels_from_rows``.
    """
    barred = frame["group"] == "leaky"
    if "audit" in frame:
        barred |= frame["audit"] == "failed"
    return barred | frame["labels_from_rows"] if "labels_from_rows" in frame else barred


def latest(runs: pd.DataFrame) -> pd.DataFrame:
    """Leave out runs that a later one replaced.

    A results folder keeps the runs of plug-ins, recipes and data as they were before an edit. Of each dataset only
    the newest ``fingerprint`` counts, of each entry the newest ``version``, and of several runs with one seed the
    newest, by ``started``.

    Args:
        runs: With the text columns ``dataset_options``, ``fingerprint``, ``version`` (of everything but options and
            seed that decides the outcome) and ``started``.

    Returns:
        A subset of the rows, in the same order, with the columns of `with_entries`.
    """
    current = runs.sort_values(["started", "run_id"], kind="stable")
    current = _newest(current, ["dataset", "dataset_options", *_protocol_columns(runs)], "fingerprint")
    current = _newest(with_entries(current), ["scenario", "entry"], "version")
    return current.drop_duplicates(["scenario", "entry", "seed"], keep="last").sort_index()


def _newest(newest_last: pd.DataFrame, keys: list[str], column: str) -> pd.DataFrame:
    """The rows that share a column's value with the last row of their group."""
    return newest_last[newest_last[column] == newest_last.groupby(keys)[column].transform("last")]


def options_text(options: pd.Series) -> pd.Series:
    """JSON objects as they are printed behind a name: `` (lr=0.001)``, or nothing where there are none."""
    return options.map({text: _options(text) for text in options.unique()})


def _options(text: str) -> str:
    values: dict[str, object] = json.loads(text) if text else {}
    if not values:
        return ""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    pairs = (f"{key}={text}" if key else text for key, text in texts.items())
    return f" ({', '.join(pairs)})"


def _protocol_labels(runs: pd.DataFrame) -> pd.Series:
    columns = _protocol_columns(runs)
    labels = {
        values: Protocol(**dict(zip(["name", *columns[1:]], values, strict=True))).label
        for values in runs[columns].drop_duplicates().itertuples(index=False, name=None)
    }
    keys = zip(*(runs[column] for column in columns), strict=True)
    return pd.Series([labels[key] for key in keys], index=runs.index)


def _protocol_columns(runs: pd.DataFrame) -> list[str]:
    return ["protocol", *PROTOCOL, *(column for column in LABELS if column in runs)]


def scenario_parts(runs: pd.DataFrame) -> pd.DataFrame:
    """Parts of a scenario's name, for `shortest_names`."""
    parts = pd.DataFrame({"dataset": runs["dataset"]}, index=runs.index)
    if "dataset_options" in runs:
        parts["options"] = options_text(runs["dataset_options"])
    if "fingerprint" in runs:
        parts["fingerprint"] = " [" + runs["fingerprint"].str.slice(0, 8) + "]"
    parts["protocol"] = ", " + runs["protocol"]
    plain = _protocol_labels(runs.assign(**{column: PLAIN[column] for column in PLAIN if column in runs}))
    labels = _protocol_labels(runs)
    parts["numbers"] = [text.removeprefix(name) for name, text in zip(runs["protocol"], plain, strict=True)]
    parts["labels"] = [_regime(text, same) for text, same in zip(labels, plain, strict=True)]
    return parts


def _regime(label: str, plain: str) -> str:
    """What a protocol's label says of labels, given the label of the same protocol with every label, undelayed."""
    said = set(plain.removesuffix(")").split(", "))
    own = [part for part in label.removesuffix(")").split(", ") if part not in said]
    return f", {', '.join(own) or 'all labels'}"


def _bases(runs: pd.DataFrame) -> pd.Series:
    parts = pd.DataFrame({"forecaster": runs["forecaster"]}, index=runs.index)
    if "forecaster_options" in runs:
        parts["options"] = options_text(runs["forecaster_options"])
    return shortest_names(parts).where(runs["forecaster"] != "none", "none")


def _as_untuned(runs: pd.DataFrame, tuned: pd.Series) -> pd.DataFrame:
    """The runs with their forecasters' options as these are without tuning."""
    if not tuned.any():
        return runs
    texts = runs.loc[tuned, "forecaster_options"].map(as_untuned)
    return runs.assign(forecaster_options=runs["forecaster_options"].where(~tuned, texts))


def shortest_names(parts: pd.DataFrame) -> pd.Series:
    """Names made of the first column, and of each later one only where it tells rows apart."""
    first, *others = parts.columns
    names = parts[first].astype(str)
    for column in others:
        differs = parts[column].groupby(names).transform("nunique") > 1
        names = names + parts[column].where(differs, "")
    return names
