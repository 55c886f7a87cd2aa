"""CTGAN or TVAE on one table: run by the Python of an environment that has them (`pip install ctgan`).

    PEERS_PYTHON benchmarks/peers_tables.py ctgan train.csv made.csv --rows 50000 --seconds 600 [--seed 0]

Both ask for continuous columns without missing values, and for discrete ones as integers or strings. They get here what
RDT, their own preparation library, gives them within SDV, and its better choice where there are two:

- a column of text, or of at most 10 whole numbers, is discrete; missing text is one more level;
- every other column is continuous; a date is its seconds since 1970. Where it has missing values, these become its
  mean, and a discrete column says which they are, so that they can be learned along with the rest (RDT's
  `from_column`); samples are rounded to the column's decimals and kept within its bounds.

Their own defaults throughout. They know no time budget, only epochs: the epochs end when `--seconds` of processor time,
counted from the call of `fit`, have passed, which is the same as giving that many epochs, as neither has a schedule.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import ctgan
import pandas as pd
import torch

FEW = 10  # whole numbers that SDV takes for categories
ABSENT = "<missing>"


def prepared(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table as the peers want it, and the names of its discrete columns."""
    out, discrete = {}, []
    for name, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column):
            out[name] = column.fillna(ABSENT).astype(str)
            discrete.append(name)
        elif column.nunique() <= FEW and column.dtype.kind == "i":
            out[name] = column
            discrete.append(name)
        else:
            out[name] = column.astype(float).fillna(column.mean())
            if column.isna().any():
                out[f"{name} missing"] = column.isna().astype(int)
                discrete.append(f"{name} missing")
    return pd.DataFrame(out), discrete


def restored(made: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Samples in the form of `frame`: rounded, within bounds, with their missing values."""
    out = {}
    for name, column in frame.items():
        values = made[name]
        if not pd.api.types.is_numeric_dtype(column):
            out[name] = values.where(values != ABSENT)
            continue
        whole = (column.dropna() % 1 == 0).all()
        values = values.clip(column.min(), column.max())
        values = values.round() if whole else values
        absent = f"{name} missing"
        values = values.where(made[absent].astype(int) == 0) if absent in made else values
        out[name] = values.astype("Int64") if whole else values
    return pd.DataFrame(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=["ctgan", "tvae"])
    parser.add_argument("train", type=Path)
    parser.add_argument("made", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    frame = pd.read_csv(options.train)
    table, discrete = prepared(frame)
    started, done = time.process_time(), []

    def epochs(count: range, **_: object) -> Iterator[int]:
        for epoch in count:
            done.append(time.process_time() - started)
            yield epoch
            if time.process_time() - started > options.seconds:
                return

    model = {"ctgan": ctgan.CTGAN, "tvae": ctgan.TVAE}[options.model](epochs=1_000_000, enable_gpu=False)
    model.set_random_state(options.seed)
    with mock.patch(f"ctgan.synthesizers.{options.model}.tqdm", epochs):
        model.fit(table, discrete)
    seconds = time.process_time() - started
    began = time.process_time()
    made = restored(model.sample(options.rows), frame)
    told = {
        "what": f"{options.model.upper()} {ctgan.__version__}, {len(done)} epochs",
        "seconds": seconds,
        "preparing": done[0],
        "sampling": time.process_time() - began,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    made.to_csv(options.made, index=False)
    options.made.with_suffix(".json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
