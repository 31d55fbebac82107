"""The kinds of faults: each hurts a run at random, and says what came of it.

A kind is a function of a `Ground`, a random generator and a new folder.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.faults.lab import EPOCHS, lines
from tests.faults.moments import choose, wait_for
from tests.faults.outcomes import (
    BAD,
    FAILED,
    HARMLESS,
    RECOVERED,
    REFUSED,
    WRONG,
    Outcome,
)
from tests.faults.processes import Started
from tests.faults.said import fault, remarks

ANEW = "--restart-damaged"
_MOST_KILLS = 5  # in a chain


@dataclasses.dataclass
class Ground:
    """Where runs are hurt.

    Attributes:
        lab: what trains fast and compares, a `Lab` or the like.
        root: folder for the files of the driver.
        life: seconds that a process of a whole run takes.
        mounts: whether file systems of a given size can be made.
    """

    lab: Any
    root: Path
    life: float = 6.0
    mounts: bool = False

    def start(self, folder, *more, name="0", **options):
        """Starts a real process in a folder."""
        return Started(folder, self.root / f"stderr-{name}", *more, **options)

    def run(self, folder, every, *more):
        """Runs a real process to its end."""
        return self.start(folder, *more, every=every).wait()


def settle(ground, folder, run, *, mend=None, every=1, said=False, note=""):
    """Gives the same command until the run ends, and compares.

    Args:
        ground: where that is.
        folder: the workdir.
        run: (folder, every, *more) -> `Ran`, of a process or of the lab.
        mend: undoes what was done, as a message may ask for; None if nothing can.
        every: epochs between checkpoints.
        said: whether something was said before.
        note: what was done.

    Returns:
        The `Outcome`: harmless if nothing was said.
    """
    ran, refused = run(folder, every), False
    if ran.status == 2 and not fault(ran, 2):
        refused = True
        if ANEW in ran.err:
            ran = run(folder, every, ANEW)
        elif mend is not None:
            mend()
            ran = run(folder, every)
    if why := fault(ran, 0):
        return Outcome(FAILED, said, f"{note}: {why}")
    told = remarks(ran)
    if why := ground.lab.judge(folder, every):
        return Outcome(
            WRONG, said, f"{note}: {why}; it said {' / '.join(told)[:200]!r}"
        )
    if refused:
        return Outcome(REFUSED, True, note)
    return Outcome(RECOVERED if told or said else HARMLESS, bool(told) or said, note)


def recovered(outcome):
    """An outcome of a run that had to go on: that is no harmless change of a file."""
    if outcome.result == HARMLESS:
        return dataclasses.replace(outcome, result=RECOVERED)
    return outcome


def kills(ground, rng, folder, most=_MOST_KILLS):
    """Ends processes by signal 9 at random moments, until one comes to its end."""
    hit, notes, new = 0, [], bool(rng.random() < 0.1)
    for _ in range(int(rng.integers(1, min(most, _MOST_KILLS) + 1))):
        drawn = bool(rng.random() < 0.2)
        started = ground.start(folder, drawn=drawn, new=new)
        moment = choose(rng, ground.life)
        if wait_for(moment, folder, started):
            started.send(signal.SIGKILL)
            notes.append(str(moment))
        ran = started.wait()
        if ran.status != -signal.SIGKILL:  # it was faster, or cannot go on
            if why := fault(ran, 0):
                return Outcome(FAILED, False, f"{notes}: {why}", max(hit, 1))
            break
        hit += 1
    note = f"killed {', '.join(notes)}" + (" (imported anew)" if new else "")
    outcome = recovered(settle(ground, folder, ground.run, note=note))
    # A chain in which every kill came too late is no try, unless it ends badly.
    least = 1 if outcome.result in BAD else 0
    return dataclasses.replace(outcome, count=max(hit, least))


def flips(ground, rng, folder):
    """Changes one bit of a file of a run that was killed or is finished."""
    kind = stopped(ground, rng, folder)
    path = any_file(rng, folder)
    place, bit = int(rng.integers(path.stat().st_size)), int(rng.integers(8))
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    note = f"bit {bit} of byte {place} of {path.relative_to(folder)} of {kind}"
    return damaged(ground, folder, path, bytes(data), note)


def truncations(ground, rng, folder):
    """Cuts a file of a run that was killed or is finished."""
    kind = stopped(ground, rng, folder)
    path = any_file(rng, folder)
    size = path.stat().st_size
    left = int(rng.integers(size))
    note = f"the first {left} of {size} bytes of {path.relative_to(folder)} of {kind}"
    return damaged(ground, folder, path, path.read_bytes()[:left], note)


def stopped(ground, rng, folder):
    """Makes a folder a copy of a run that was killed, or is finished; says which."""
    finished = bool(rng.random() < 0.2)
    ground.lab.copy(folder, 1, finished)
    return "a finished run" if finished else "a killed run"


def any_file(rng, folder):
    """A file of a folder: by chance any one, or by their sizes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    shares = [size / sum(sizes) for size in sizes] if rng.random() < 0.5 else None
    found = files[rng.choice(len(files), p=shares)]
    return found if found.stat().st_size else any_file(rng, folder)


def damaged(ground, folder, path, data, note):
    """What comes of other content of a file."""
    before = path.read_bytes()
    path.write_bytes(data)

    def mend():
        path.write_bytes(before)

    return settle(ground, folder, ground.lab.train, mend=mend, note=note)


DISKS = {
    True: "a file system of a random size, and now and then a limit on each file",
    False: "a limit on the size of each file, as no file system may be mounted here",
}


def disks(ground, rng, folder):
    """Lets the disk be full, or files be limited; then there is room again."""
    mounted = ground.mounts and rng.random() < 0.8
    size = int(2 ** rng.uniform(12, 19.5))  # 4 KiB to 740 KB: the run takes 400 KB
    drawn = bool(rng.random() < 0.3)
    if not mounted:
        size //= 4  # of one file
        ran = ground.start(folder, drawn=drawn, largest=size).wait()
        note = f"files of at most {size} bytes"
        return after_full(ground, folder, ran, note)
    note = f"a disk of {size} bytes"
    disk = folder.with_name(folder.name + "-disk")
    disk.mkdir()
    make = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
    subprocess.run(make, check=True)
    try:
        ran = ground.start(disk / "run", drawn=drawn).wait()
        more = ["mount", "-o", "remount,size=64m", str(disk)]
        subprocess.run(more, check=True)
        return after_full(ground, disk / "run", ran, note)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def after_full(ground, folder, ran, note):
    """What comes of a run that has met a full disk, with room."""
    if why := fault(ran, 0, 1, 2):
        return Outcome(FAILED, False, f"{note}: {why}")
    said = ran.status != 0 or bool(remarks(ran))
    if ran.status == 0 and (why := ground.lab.judge(folder)):
        return Outcome(WRONG, said, f"{note}: {why}")
    return recovered(settle(ground, folder, ground.run, said=said, note=note))


def starts(ground, rng, folder):
    """Starts two or three processes at once: one runs, the others are refused."""
    if rng.random() < 0.5:
        ground.lab.copy(folder)
    count = int(rng.integers(2, 4))
    delays = rng.uniform(0, rng.choice([0.02, 0.3, ground.life]), size=count)
    note = f"{count} processes within {max(delays):.2f} s"
    began, processes = time.monotonic(), []
    for i, delay in enumerate(sorted(delays)):
        time.sleep(max(0.0, began + delay - time.monotonic()))
        processes.append(ground.start(folder, name=str(i)))
    ended = [started.wait() for started in processes]
    for ran in ended:
        if why := fault(ran, 0, 2):
            return Outcome(FAILED, False, f"{note}: {why}")
        if ran.status == 2 and "is in use by another program" not in ran.err:
            return Outcome(FAILED, False, f"{note}: {remarks(ran)}")
    trained = sum("Finished " in ran.err for ran in ended)
    if trained != 1:
        return Outcome(FAILED, False, f"{note}: {trained} of them trained to the end")
    said = any(ran.status == 2 for ran in ended)
    return recovered(settle(ground, folder, ground.run, said=said, note=note))


EVERY = 4  # epochs between checkpoints of runs that get signals


def signals(ground, rng, folder):
    """Sends a signal, now and then a second one; the first saves what was trained."""
    number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[rng.integers(3)]
    started = ground.start(folder, every=EVERY)
    moment = choose(rng, ground.life, without=("lock", "events"))
    hit, twice = wait_for(moment, folder, started), rng.random() < 0.3
    # It waits meanwhile: on a busy machine it could be at its end before the signal.
    started.send(signal.SIGSTOP)
    rows = len(lines(folder))
    trained = rows > 0
    started.send(number)
    started.send(signal.SIGCONT)
    note = f"{number.name} {moment}"
    if twice:
        time.sleep(rng.uniform(0, 0.1))
        started.send(number)
        note += ", twice"
    ran = started.wait()
    allowed = [128 + number]
    if not trained or twice:  # nothing is lost, or it ends at once
        allowed.append(-number)
    if not hit or rows > EPOCHS - 3:  # it is at its end; two epochs are under way
        allowed.append(0)
    if why := fault(ran, *allowed):
        return Outcome(FAILED, False, f"{note}: {why}")
    if hit and trained and not twice and ran.status and (why := lost(folder)):
        return Outcome(FAILED, True, f"{note}: {why}")
    said = bool(remarks(ran))
    done = settle(ground, folder, ground.run, every=EVERY, said=said, note=note)
    return recovered(done)


def lost(folder):
    """What a run that was stopped has not saved; or ""."""
    kept = [int(x) for x in os.listdir(folder / "checkpoints") if x.isdigit()]
    if (saved := max(kept, default=0)) != (rows := len(lines(folder))):
        return f"{rows} epochs were trained, and the last checkpoint is of {saved}"
    return ""


def removals(ground, rng, folder):
    """Moves a file, a folder or the whole run away: between two starts or in a run."""
    if rng.random() < 0.5:
        ground.lab.copy(folder)
        gone, mend = remove(rng, folder)
        note = f"{gone} removed between two starts"
        return recovered(settle(ground, folder, ground.lab.train, mend=mend, note=note))
    started = ground.start(folder)
    moment = choose(rng, ground.life)
    wait_for(moment, folder, started)
    gone, mend = remove(rng, folder)
    rows = max(len(lines(place)) for place in (folder, beside(folder)))
    note = f"{gone} removed {moment}"
    ran = started.wait()
    if why := fault(ran, 0, 1, 2):
        return Outcome(FAILED, False, f"{note}: {why}")
    said = bool(remarks(ran))
    # What is removed when all is written, the same command brings back.
    if ran.status == 0 and rows < EPOCHS and (why := ground.lab.judge(folder)):
        return Outcome(WRONG, said, f"{note}: {why}")
    done = settle(ground, folder, ground.run, mend=mend, said=said, note=note)
    return recovered(done)


def remove(rng, folder):
    """Moves something in a folder away: what it was, and what brings it back."""
    chance, away = rng.random(), beside(folder)
    top = sorted(os.listdir(folder)) if folder.exists() else []
    found = sorted(
        os.path.join(place, name)
        for place, folders, files in os.walk(
            folder
        )  # the run may change them meanwhile
        for name in (*folders, *files)
    )
    if chance < 0.2 or not found:
        path = folder
    elif chance < 0.5:  # one at the top: config.json, metrics.jsonl, events, ...
        path = folder / top[rng.integers(len(top))]
    else:
        path = Path(found[rng.integers(len(found))])
    whole = path == folder
    try:
        if not whole:
            away.mkdir()
        path.rename(away if whole else away / path.name)
    except OSError:  # there is none yet, or the run has itself removed it
        return "nothing", lambda: None

    def mend():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(away if whole else away / path.name, path)

    return "the workdir" if whole else str(path.relative_to(folder)), mend


def beside(folder):
    """Where that lies which was moved away."""
    return folder.with_name(f"{folder.name}-removed")


KINDS = {
    "kills": kills,
    "flips": flips,
    "truncations": truncations,
    "full-disks": disks,
    "concurrent-starts": starts,
    "signals": signals,
    "removals": removals,
}
