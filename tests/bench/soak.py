#!/usr/bin/env python3
"""Create, change and remove streams in a loop, and watch that nothing grows.

usage: soak.py WEIR [--streams N] [--rate N] [--minutes N]

Starts a server with a state folder of its own, keeps about N streams (default 1,000) and does `rate` writes a second
(default 50): a third each create, change and remove. Once a minute it prints the memory, threads, open files and the
size of the state. At the end: the growth of memory between
the second and the last sixth of the time, and whether the streams are those that were
asked for.
"""
import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time

from idle import Server


def config(mark):
    return {
        "input": {"generate": {"interval": "1s", "mapping": 'root = "%s"' % mark}},
        "pipeline": {"processors": [{"mapping": "root = content().uppercase()"}]},
        "output": {"drop": {}},
    }


def sizes(server, folder):
    with open("/proc/%d/status" % server.proc.pid) as f:
        threads = int([line for line in f if line.startswith("Threads")][0].split()[1])
    files = len(os.listdir("/proc/%d/fd" % server.proc.pid))
    stored = sum(os.path.getsize(os.path.join(at, name))
                 for at, _, names in os.walk(os.path.join(folder, "state")) for name in names)
    return server.rss(), threads, files, stored >> 10


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--streams", type=int, default=1000)
    p.add_argument("--rate", type=int, default=50)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    folder = tempfile.mkdtemp(prefix="soak.")
    server = Server(os.path.abspath(a.binary), folder)
    try:
        server.until(lambda: server.call("GET", "/ping"))
        soak(server, folder, a, rng)
    finally:
        server.proc.kill()
        server.proc.wait()
        shutil.rmtree(folder, ignore_errors=True)


def soak(server, folder, a, rng):
    wanted, samples, writes = {}, [], 0
    for number in range(a.streams):
        server.call("POST", "/streams/s%d" % number, config("first"))
        wanted["s%d" % number] = "first"
    began = time.time()
    end, next_sample = began + a.minutes * 60, began
    while time.time() < end:
        if time.time() >= next_sample:
            next_sample += 60
            samples.append(sizes(server, folder))
            print("%4.0f min  %d streams, %d writes, %d KB, %d threads, %d files, state %d KB"
                  % ((time.time() - began) / 60, len(wanted), writes, *samples[-1]), flush=True)
        id = "s%d" % rng.randrange(a.streams * 3 // 2)
        mark = "m%d" % writes
        if id not in wanted:
            server.call("POST", "/streams/" + id, config(mark))
            wanted[id] = mark
        elif len(wanted) > a.streams and rng.random() < 0.5:
            server.call("DELETE", "/streams/" + id)
            del wanted[id]
        else:
            server.call("PUT", "/streams/" + id, config(mark))
            wanted[id] = mark
        writes += 1
        time.sleep(max(0, began + writes / a.rate - time.time()))
    listed = json.loads(server.call("GET", "/streams")[0])
    if sorted(listed) != sorted(wanted) or not all(one["active"] for one in listed.values()):
        sys.exit("what runs is not what was asked for")
    for id in rng.sample(sorted(wanted), 50):
        shown = json.loads(server.call("GET", "/streams/" + id)[0])
        if wanted[id] not in json.dumps(shown["config"]):
            sys.exit("%s runs an old config" % id)
    half = max(1, len(samples) // 6)
    settled, last = (sorted(s[0] for s in part)[len(part) // 2] for part in (samples[half:half * 2] or samples, samples[-half:]))
    print("%d writes; memory %d KB at first, %d KB at last (medians over %d minutes): %+.1f %%; all %d streams run as asked"
          % (writes, settled, last, half, 100 * (last - settled) / settled, len(wanted)))


if __name__ == "__main__":
    main()
