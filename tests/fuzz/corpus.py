#!/usr/bin/env python3
"""Keeps what fuzzing found beyond the seeds: corpus.py [TARGET...]. Of the inputs in build/fuzz/work the
fewest that reach all that the seeds do not go into tests/fuzz/corpus/TARGET, those that reach most first,
until its room is used up. Inputs named regress-* are nobody's to remove. After tests/fuzz/fuzz.sh."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(os.environ.get("BUILD", "build"), "fuzz")
BYTES, FILES, LONGEST = 7500, 16, 2500  # of one target; of one input


def seeds_of(target):
    names = ["stack", "stack-"] if target.startswith("stack-") else [target]
    return [os.path.join(OUT, "seeds", name) for name in names]


def new_inputs(target, work):
    """Those that reach what the seeds do not."""
    for folder in seeds_of(target):
        if os.path.isdir(folder):
            shutil.copytree(folder, work, dirs_exist_ok=True)
    known = set(os.listdir(work))
    subprocess.run([os.path.join(OUT, "bin", target), "-set_cover_merge=1", "-timeout=20", work,
                    os.path.join(OUT, "work", target)], check=True, capture_output=True)
    found = [os.path.join(work, name) for name in os.listdir(work) if name not in known]
    return sorted(found, key=lambda path: os.stat(path).st_mtime_ns)  # in the order of the cover


def keep(target):
    home = os.path.join(HERE, "corpus", target)
    os.makedirs(home, exist_ok=True)
    for name in os.listdir(home):
        if not name.startswith("regress-"):
            os.remove(os.path.join(home, name))
    used, count = 0, 0
    with tempfile.TemporaryDirectory() as work:
        for path in new_inputs(target, work):
            size = os.path.getsize(path)
            if used + size > BYTES or count == FILES or size > LONGEST:
                continue
            used, count = used + size, count + 1
            shutil.copy(path, os.path.join(home, os.path.basename(path)[:12]))
    print("%s: %d inputs, %d bytes" % (target, count, used))


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(os.listdir(os.path.join(OUT, "work"))):
        keep(name)
