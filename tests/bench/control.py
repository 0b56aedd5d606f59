#!/usr/bin/env python3
"""The control plane at ten thousand streams: a plan, one change, commits of 64 writers, streams that crash at once,
a client of events that never reads, a start over a long past.

usage: control.py WEIR [--streams N] [--past]

Streams are those of idle.py, sent as one JSON body; each figure is printed in a line of its own. Writers keep their
connections and send PUT with `wait=none` to streams of their own for five seconds. The past is of a server of its
own: a thousand generations of each of a hundred streams (`--past`: this alone).
"""
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from multiprocessing import Pipe, Process

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from idle import Server, streams

WRITERS, SECONDS, CRASHING, FLOWING = 64, 5, 100, 20
STREAMS, GENERATIONS, STARTS = 100, 1000, 3


def median(values):
    return sorted(values)[len(values) // 2]


def write_for(port, first, count, end, answer):
    """One process of `count` connections, each writing to a stream of its own; sends back how long each write took."""
    took = []

    def write(number):
        with socket.create_connection(("127.0.0.1", port)) as s:
            turn = 0
            while time.time() < end:
                turn += 1
                body = json.dumps({"input": {"inproc": "w%d" % number},
                                   "pipeline": {"processors": [{"mapping": "root.n = %d" % turn}]},
                                   "output": {"drop": {}}}).encode()
                head = "PUT /streams/s%05d?wait=none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (number, len(body))
                began = time.time()
                s.sendall(head.encode() + body)
                got = s.recv(65536)
                took.append(time.time() - began)
                assert got.startswith(b"HTTP/1.1 20"), got

    threads = [threading.Thread(target=write, args=(first + i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send(took)


def commit_seconds(server):
    """The server's own count of commits and of the seconds they took."""
    lines = [line.split() for line in server.call("GET", "/metrics")[0].decode().splitlines()]
    figures = {line[0]: float(line[1]) for line in lines if len(line) == 2}
    return figures["weir_commit_seconds_count"], figures["weir_commit_seconds_sum"]


def commits(server):
    count, spent = commit_seconds(server)
    end, pipes = time.time() + SECONDS, []
    for half in range(2):
        mine, theirs = Pipe()
        Process(target=write_for, args=(server.port, half * WRITERS // 2, WRITERS // 2, end, theirs)).start()
        pipes.append(mine)
    took = [one for pipe in pipes for one in pipe.recv()]
    count, spent = commit_seconds(server)[0] - count, commit_seconds(server)[1] - spent
    print("%d writers: %.0f commits a second, median %.1f ms, of which the commit itself %.1f ms (mean)" % (
        WRITERS, len(took) / SECONDS, median(took) * 1000, spent / count * 1000))


def plan_and_change(server, wanted):
    print("plan of %d unchanged: %.2f s" % (len(wanted), server.call("POST", "/plan", wanted)[1]))
    one, took = dict(wanted["s00007"]), []
    for turn in range(7):
        one["pipeline"] = {"processors": [{"mapping": "root.turn = %d" % turn}]}
        took.append(server.call("PUT", "/streams/s00007", one)[1])
        told = json.loads(server.call("GET", "/streams/s00007/status")[0])
        assert told["generation"]["desired"] == told["generation"]["running"], told
    print("one changed among them: running %.1f ms after the call (median of 7)" % (median(took) * 1000))
    took = [server.call("GET", "/streams")[1] for _ in range(7)]
    print("list of all: %.0f ms (median of 7)" % (median(took) * 1000))


def crashing(server, folder):
    """A hundred that fail at once beside twenty that flow, a message each ten milliseconds."""
    for i in range(FLOWING):
        server.call("POST", "/streams/flow%d" % i, {
            "input": {"generate": {"interval": "10ms", "mapping": "root = counter()"}},
            "output": {"file": {"path": os.path.join(folder, "flow%d" % i), "codec": "lines"}}})
    for i in range(CRASHING):
        server.call("POST", "/streams/crash%d" % i, {
            "input": {"file": {"paths": [os.path.join(folder, "nothing%d" % i)]}}, "output": {"drop": {}}})
    began, cpu = time.time(), server.cpu()
    time.sleep(20)
    used = (server.cpu() - cpu) / (time.time() - began) * 100
    for i in range(FLOWING):
        with open(os.path.join(folder, "flow%d" % i)) as f:
            lines = [int(line) for line in f.read().split("\n") if line]
        assert lines == list(range(1, len(lines) + 1)) and len(lines) > 1000, (i, len(lines))
    print("%d that crash at once: %.0f %% of a core with %d that flow, which lose nothing" % (CRASHING, used, FLOWING))


def events(server):
    """A client that follows and never reads, while ten thousand things happen."""
    before = server.rss()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        took = []
        for turn in range(5000):
            took.append(server.call("POST", "/streams/s00009/" + ("pause", "resume")[turn % 2] + "?wait=none")[1])
        print("events nobody reads: %d KB more, a write beside takes %.1f ms (median)"
              % (server.rss() - before, median(took) * 1000))


def past(binary):
    """Time from exec to an answer of the API, of one start after SIGTERM and others after kill -9."""
    folder = tempfile.mkdtemp(prefix="past.")
    keep = ["--keep-generations", str(GENERATIONS), "--keep-revisions", str(GENERATIONS)]

    def ready(server):
        return server.until(lambda: len(json.loads(server.call("GET", "/streams")[0])) == STREAMS)
    server = Server(binary, folder, *keep)
    try:
        server.until(lambda: server.call("GET", "/ping"))
        wanted = streams(STREAMS)
        server.call("POST", "/streams", wanted)
        writers = [threading.Thread(target=write_past, args=(server.port, i)) for i in range(STREAMS)]
        began = time.time()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        written, took = time.time() - began, []
        kept = len(json.loads(server.call("GET", "/streams/s00007/history?limit=1000")[0]))
        assert kept == GENERATIONS, kept
        for turn in range(STARTS):
            server.proc.send_signal(signal.SIGKILL if turn else signal.SIGTERM)
            server.proc.wait()
            server = Server(binary, folder, *keep)
            took.append(ready(server))
        print("%d generations of %d streams, written in %.0f s: started in %s s, %.0f MB resident" % (
            GENERATIONS, STREAMS, written, ", ".join("%.2f" % one for one in took), server.rss() / 1000))
    finally:
        server.proc.kill()
        server.proc.wait()
        shutil.rmtree(folder, ignore_errors=True)


def write_past(port, number):
    with socket.create_connection(("127.0.0.1", port)) as s:
        for turn in range(GENERATIONS):
            body = json.dumps({"input": {"inproc": "w%d" % number},
                               "pipeline": {"processors": [{"mapping": "root.n = %d" % turn}]},
                               "output": {"drop": {}}}).encode()
            head = "PUT /streams/s%05d?wait=none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (number, len(body))
            s.sendall(head.encode() + body)
            got = s.recv(65536)
            assert got.startswith(b"HTTP/1.1 20"), got


def main():
    binary = os.path.abspath(sys.argv[1])
    if "--past" in sys.argv:
        return past(binary)
    n = int(sys.argv[sys.argv.index("--streams") + 1]) if "--streams" in sys.argv else 10000
    folder = tempfile.mkdtemp(prefix="control.")
    wanted = streams(n)
    server = Server(binary, folder, metrics="prometheus")
    try:
        server.until(lambda: server.call("GET", "/ping"))
        server.call("POST", "/streams", wanted)
        server.until(lambda: server.active() == n)
        plan_and_change(server, wanted)
        commits(server)
        time.sleep(3)
        events(server)
        crashing(server, folder)
    finally:
        server.proc.kill()
        server.proc.wait()
        shutil.rmtree(folder, ignore_errors=True)
    past(binary)


if __name__ == "__main__":
    main()
