"""Reading tables that are too large to hold: seconds, rows a second, and the most memory the process held.

    python benchmarks/bench_scale.py --rows 10000000 [--csv] [--compare] [--folder /big/disk]

Makes two Parquet files (or, with `--csv`, text) of `--rows` rows x 20 columns (numbers, whole numbers, categories,
true/false, dates; some values missing) in row groups, in a temporary folder that is removed afterwards. Then, each in a
process of its own: nothing but the imports; `read_bounded` of both; polars' own reading of both, held whole; and, with
`--compare`, `pushforward compare` of the two. Peak memory is the resident set's of the whole process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GROUP = 250_000  # rows of a row group


def make(path: Path, rows: int, seed: int) -> None:
    """Write the table by row groups: never more than one is held."""
    import numpy as np
    import polars as pl
    import pyarrow.parquet as pq

    writer = None
    for first in range(0, rows, GROUP):
        n, rng = min(GROUP, rows - first), np.random.default_rng([seed, first])
        hidden = rng.normal(size=(n, 3))
        columns: dict[str, pl.Series] = {}
        for j in range(9):
            values = hidden @ np.cos(np.arange(3) + j) + rng.normal(size=n)
            values = np.exp(values / 2) if j % 3 == 2 else values
            columns[f"x{j}"] = pl.Series(np.round(values, 3) if j % 2 else values)
        columns["x8"] = pl.select(pl.when(pl.Series(rng.random(n) > 0.05)).then(columns["x8"])).to_series()
        for j, most in enumerate((10, 1000, 100_000, 2**40)):
            columns[f"whole{j}"] = pl.Series(rng.integers(0, most, n))
        for j, levels in enumerate((5, 50, 2000, 30)):
            codes = np.minimum(rng.geometric(min(0.4, 20 / levels), n), levels)
            text = pl.Series([f"level {i}" for i in range(levels + 1)])[codes]
            columns[f"category{j}"] = pl.select(
                pl.when(pl.Series(rng.random(n) > 0.02 * (j == 3))).then(text)
            ).to_series()
        columns["flag"] = pl.Series(rng.random(n) < 0.3)
        columns["day"] = pl.Series(rng.integers(18_000, 19_000, n)).cast(pl.Int32).cast(pl.Date)
        columns["moment"] = pl.Series(rng.integers(1_500_000_000, 1_600_000_000, n) * 1_000_000).cast(pl.Datetime("us"))
        frame = pl.DataFrame(columns)
        if path.suffix == ".csv":
            with path.open("ab") as file:
                frame.write_csv(file, include_header=not first)
            continue
        table = frame.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def child(mode: str, paths: list[Path], rows: int, most: int) -> None:
    """What a process of its own does; it prints its figures as JSON."""
    import polars as pl

    from pushforward.data.streams import read_bounded, shown

    found: dict[str, object] = {}
    started = time.perf_counter()
    if mode == "make":
        for seed, path in enumerate(paths):
            make(path, rows, seed)
    elif mode == "bounded":
        for path in paths:
            with shown(path.name) as progress:
                _, bounded = read_bounded(path, most_rows=most, seed=0, progress=progress)
        found = {"sentence": bounded.sentence, "parts": bounded.parts}
    elif mode == "whole":
        held = [pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path) for path in paths]
        found = {"columns": held[0].width}
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), **found}))


def peak_mib() -> float:
    """The most this process has held; where Linux tells, without what its parent held when it was started."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 2**10
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def run(mode: str, paths: list[Path], rows: int, most: int) -> dict[str, float]:
    """The figures of `child` in a process of its own."""
    words = ("--child", mode, "--rows", rows, "--most", most, "--paths", *paths)
    argv = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(mode, found, flush=True)
    return found


def run_compare(paths: list[Path]) -> dict[str, float]:
    """`pushforward compare` of the two files; seconds and peak memory."""
    argv = [sys.executable, "-m", "pushforward", "compare", *map(str, paths)]
    started = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"pushforward compare ended with status {os.waitstatus_to_exitcode(status)}")
    found = {"seconds": time.perf_counter() - started, "peak_mib": usage.ru_maxrss / 2**10}
    print("compare", found, flush=True)
    return found


def page(results: dict[str, dict[str, Any]]) -> None:
    """docs/benchmarks/scale.md from the stored results."""
    import pages

    named = {
        "imports": "nothing but the imports",
        "bounded": "`read_bounded`: every row checked and summarised, a sample kept",
        "compare": "`pushforward compare` as a whole",
        "whole": "polars' own reading, both tables held",
    }
    lines = [
        "# Tables too large to hold",
        "",
        "Two tables of 20 columns (9 of numbers, 4 of whole numbers, 4 categories with up to 2,000 levels, true or",
        "false, dates, moments; some values missing), read one after the other by `python benchmarks/bench_scale.py`,",
        "each line below in a process of its own. Rows a second: of both tables together. Peak memory: the most that",
        "the whole process held (resident set), imports included. A CSV is read twice: its types depend on all rows.",
        "",
    ]
    for title, found in results.items():
        rows, runs = found["rows"], found["runs"]
        load = f"load average as it ended {found['load']:.0f}" if "load" in found else "shared with other work"
        lines += [f"## 2 x {title}", "", f"{found['file_mib']:,.0f} MiB each on disk; {found['machine']}, {load}.", ""]
        cells = []
        for mode, label in named.items():
            if mode in runs:
                rate = "" if mode == "imports" else f"{2 * rows / runs[mode]['seconds']:,.0f}"
                cells.append([label, f"{runs[mode]['seconds']:.1f}", rate, f"{runs[mode]['peak_mib']:,.0f}"])
        lines += pages.table(("", "seconds", "rows/s", "peak MiB"), cells)
        lines += ["", f"What `read_bounded` says of each: {runs['bounded']['sentence']}.", ""]
    pages.write("scale", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--most", type=int, default=200_000, help="rows to keep of each")
    parser.add_argument("--csv", action="store_true", help="text instead of Parquet")
    parser.add_argument("--compare", action="store_true", help="also the whole `pushforward compare`")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--paths", type=Path, nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.paths, given.rows, given.most)
        return
    import pages

    ending = ".csv" if given.csv else ".parquet"
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        paths = [Path(folder, f"{name}{ending}") for name in ("real", "fake")]
        run("make", paths, given.rows, given.most)
        mib = paths[0].stat().st_size / 2**20
        runs = {mode: run(mode, paths, given.rows, given.most) for mode in ("imports", "bounded", "whole")}
        if given.compare:
            runs["compare"] = run_compare(paths)
    found = {"rows": given.rows, "most": given.most, "file_mib": mib, "machine": pages.machine(), "runs": runs}
    title = f"{given.rows:,} rows{', CSV' if given.csv else ''}"
    page(pages.store("scale", {title: found | {"load": os.getloadavg()[0]}}))


if __name__ == "__main__":
    main()
