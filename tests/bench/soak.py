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
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def config(mark):
    return json.dumps({
        "input": {"generate": {"interval": "1s", "mapping": 'root = "%s"' % mark}},
        "pipeline": {"processors": [{"mapping": "root = content().uppercase()"}]},
        "output": {"drop": {}},
    })


class Server:
    def __init__(self, binary, folder):
        self.port = free_port()
        conf = os.path.join(folder, "service.yaml")
        with open(conf, "w") as f:
            f.write('http: { address: "127.0.0.1:%d" }\nlogger: { level: ERROR }\n' % self.port)
        self.state = os.path.join(folder, "state")
        self.process = subprocess.Popen([binary, "streams", "-o", conf, "--state", self.state], cwd=folder)
        self.client = None

    def send(self, method, path, body=None):
        for attempt in (1, 2):
            try:
                if self.client is None:
                    self.client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.client.request(method, path, body)
                answer = self.client.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.client = None
                if attempt == 2:
                    raise

    def wait(self):
        for _ in range(500):
            try:
                if self.send("GET", "/ping")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        sys.exit("the server does not answer")

    def sizes(self):
        status = {}
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                name, _, value = line.partition(":")
                status[name] = value.split()[0] if value.split() else ""
        files = len(os.listdir("/proc/%d/fd" % self.process.pid))
        stored = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(self.state) for name in names)
        return int(status["VmRSS"]), int(status["Threads"]), files, stored >> 10


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("binary")
    p.add_argument("--streams", type=int, default=1000)
    p.add_argument("--rate", type=int, default=50)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    rng = random.Random(a.seed)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(os.path.abspath(a.binary), folder)
        try:
            server.wait()
            soak(server, a, rng)
        finally:
            server.process.kill()
            server.process.wait()


def soak(server, a, rng):
    wanted, samples, writes = {}, [], 0
    for number in range(a.streams):
        assert server.send("POST", "/streams/s%d" % number, config("first"))[0] == 200
        wanted["s%d" % number] = "first"
    began = time.time()
    end, next_sample = began + a.minutes * 60, began
    while time.time() < end:
        if time.time() >= next_sample:
            next_sample += 60
            samples.append(server.sizes())
            print("%4.0f min  %d streams, %d writes, %d KB, %d threads, %d files, state %d KB"
                  % ((time.time() - began) / 60, len(wanted), writes, *samples[-1]), flush=True)
        id = "s%d" % rng.randrange(a.streams * 3 // 2)
        mark = "m%d" % writes
        if id not in wanted:
            want, sent = 200, server.send("POST", "/streams/" + id, config(mark))
            wanted[id] = mark
        elif len(wanted) > a.streams and rng.random() < 0.5:
            want, sent = 200, server.send("DELETE", "/streams/" + id)
            del wanted[id]
        else:
            want, sent = 200, server.send("PUT", "/streams/" + id, config(mark))
            wanted[id] = mark
        if sent[0] != want:
            sys.exit("%s: %s" % (id, sent))
        writes += 1
        time.sleep(max(0, began + writes / a.rate - time.time()))
    listed = json.loads(server.send("GET", "/streams")[1])
    if sorted(listed) != sorted(wanted) or not all(one["active"] for one in listed.values()):
        sys.exit("what runs is not what was asked for")
    for id in rng.sample(sorted(wanted), 50):
        shown = json.loads(server.send("GET", "/streams/" + id)[1])
        if wanted[id] not in json.dumps(shown["config"]):
            sys.exit("%s runs an old config" % id)
    half = max(1, len(samples) // 6)
    settled, last = (sorted(s[0] for s in part)[len(part) // 2] for part in (samples[half:half * 2], samples[-half:]))
    print("%d writes; memory %d KB at first, %d KB at last (medians over %d minutes): %+.1f %%; all %d streams run as asked"
          % (writes, settled, last, half, 100 * (last - settled) / settled, len(wanted)))


if __name__ == "__main__":
    main()
