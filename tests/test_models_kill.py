"""SIGKILL at random moments of a fit: resume always goes on from a whole checkpoint, to the same end."""

import subprocess
import sys
from pathlib import Path

import torch

from pushforward.models import GAN, load

KILLS = 10
OPTIONS = {"steps": 300, "width": 8, "depth": 1, "batch_size": 8, "checkpoint_every": 1, "device": "cpu"}

# One process imports everything and then forks a process for each try, so that tries cost no imports. It kills the
# first ten with SIGKILL, which nothing can catch: two at any moment from the fork on, the others at a random moment
# after their first new checkpoint (often while the next is being written). Those to be killed sleep
# a little at every third step, so that a fast machine does not finish before them.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import lightning_fabric, numpy, torch
from pushforward.models import GAN
from pushforward.training import checkpoint

run, kills = Path(sys.argv[1]), int(sys.argv[2])
folder = run / checkpoint.FOLDER
torch.set_num_threads(1)
moments = random.Random(1)

def whole():
    return sorted(item.name for item in folder.glob("step-*")) if folder.is_dir() else []

for attempt in range(kills + 1):
    before = whole()
    child = os.fork()
    if not child:
        points = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        slow = (lambda event: time.sleep(0.01)) if attempt < kills else False
        GAN(**{options}).fit(points, out=run, resume=True, progress=slow)
        os._exit(0)
    if attempt < kills:
        waited = time.monotonic()
        while attempt % 5 and whole() == before and time.monotonic() - waited < 60:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    torn = len(list(folder.glob(".*"))) if folder.is_dir() else 0
    found = checkpoint.latest(run)
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, found[0] if found else 0, torn, flush=True)
""".replace("{options}", repr(OPTIONS))


def test_ten_kills(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run), str(KILLS)], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert [number for number, _, _ in lines] == [9] * KILLS + [0], done.stdout + done.stderr
    steps = [step for _, step, _ in lines]
    assert steps == sorted(steps)  # no try lost what an earlier one had saved
    assert len(set(steps)) > 8
    assert steps[-1] == OPTIONS["steps"]

    points = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        unharmed = GAN(**OPTIONS).fit(points, progress=False)
    finally:
        torch.set_num_threads(threads)
    assert load(run).id_ == unharmed.id_
    assert [record["step"] for record in load(run).history_] == [record["step"] for record in unharmed.history_]
