#!/usr/bin/env python3
"""The slow-peers bench: a good client beside 1000 trickling bodies, 1000 slow readers, or 600
refused connections a second.

    benches/throughput/peers/run.py PROGRAM [--name NAME] [--seconds N] [--record FILE]

PROGRAM is a server with the routes of docs/CONTRACTS.md, section 3 (examples/echo.rs); the bench
starts it on loopback with the limits that everybody gets. Attackers run in a process of their own
and come again when they are sent away. The good client opens a connection for each request, one
every 10 ms, and counts from the connect to the last byte; a request without a reply in 5 s is lost.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import resource
import selectors
import socket
import subprocess
import sys
import time

TRICKLE = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
READER = b"GET /reply?bytes=300000 HTTP/1.1\r\nHost: h\r\n\r\n"
REFUSED = b"X\r\n\r\n"
GOOD = b"POST /good HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def attacking(attack, *arguments):
    """An attacker's process, which alone may have more descriptors than its shell."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 10000 if hard == resource.RLIM_INFINITY else min(hard, 10000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    attack(*arguments)


def connect(port):
    peer = socket.socket()
    peer.setblocking(False)
    peer.connect_ex(("127.0.0.1", port))
    return peer


def many(port, begun, count, byte):
    """`count` connections that have sent `begun`, and a byte every 3 s; again when one is ended."""
    selector = selectors.DefaultSelector()
    told = {}

    def begin():
        peer = connect(port)
        told[peer] = None
        selector.register(peer, selectors.EVENT_WRITE)

    for _ in range(count):
        begin()
    while True:
        now = time.monotonic()
        for key, _ in selector.select(0.05):
            peer = key.fileobj
            if told[peer] is None:
                try:
                    peer.send(begun)
                    told[peer] = now
                    # a reader looks for nothing but the end
                    selector.modify(peer, selectors.EVENT_READ)
                    if not byte:
                        selector.unregister(peer)
                    continue
                except OSError:
                    pass
            selector.unregister(peer)
            del told[peer]
            peer.close()
            begin()
        for peer, at in list(told.items()):
            if at is None or now - at < 3:
                continue
            told[peer] = now
            try:
                if byte:
                    peer.send(byte)
                elif peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1:
                    raise OSError("ended")
            except OSError:
                if byte:
                    selector.unregister(peer)
                del told[peer]
                peer.close()
                begin()


def refused(port, rate):
    """`rate` connections a second that are refused and stay; the oldest of 4000 goes."""
    kept = []
    begun = time.monotonic()
    made = 0
    while True:
        while made < (time.monotonic() - begun) * rate:
            peer = socket.socket()
            peer.setblocking(True)
            peer.settimeout(1)
            try:
                peer.connect(("127.0.0.1", port))
                peer.send(REFUSED)
            except OSError:
                pass
            kept.append(peer)
            made += 1
            if len(kept) > 4000:
                kept.pop(0).close()
        time.sleep(0.001)


def good(port, seconds):
    latencies, lost = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
                peer.settimeout(5)
                peer.sendall(GOOD)
                reply = b""
                while piece := peer.recv(65536):
                    reply += piece
                assert reply.startswith(b"HTTP/1.1 200"), reply[:60]
                latencies.append((time.monotonic() - begun) * 1000)
        except (OSError, AssertionError):
            lost += 1
        time.sleep(max(0, begun + 0.01 - time.monotonic()))
    return sorted(latencies), lost


def listening(program):
    """The server's process and its port, once it listens.

    Its log is read to the end by a process of its own: each refused peer is a line, and a log that
    nobody reads blocks a server.
    """
    environment = {**os.environ, "FIRSTBYTE_ADDR": "127.0.0.1:0"}
    server = subprocess.Popen(
        [program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    for line in server.stdout:
        found = re.search(rb"listening on [^ ]*:(\d+)", line)
        if found:
            subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
            return server, int(found.group(1))
    raise AssertionError("the server never listened")


def measure(program, attack, seconds):
    server, port = listening(program)
    work = None
    if attack:
        work = multiprocessing.Process(
            target=attacking, args=(attack[0], port, *attack[1:]), daemon=True
        )
        work.start()
        time.sleep(1)  # the attack's own beginning is not what is measured
    latencies, lost = good(port, seconds)
    assert not work or work.is_alive(), "the attack broke off; its error is above"
    with open(f"/proc/{server.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    if work:
        work.terminate()
        work.join()
    server.kill()
    server.wait()
    at = lambda part: round(latencies[min(len(latencies) - 1, int(len(latencies) * part))], 2)
    numbers = {"answered": len(latencies), "lost": lost}
    if latencies:
        numbers |= {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)}
    return numbers | {"server_cpu_s": ticks / os.sysconf("SC_CLK_TCK")}


def cpu_model():
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("--name", default="firstbyte")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--record", metavar="FILE")
    arguments = parser.parse_args()
    attacks = {
        "nobody": None,
        "1000 trickling bodies": (many, TRICKLE, 1000, b"b"),
        "1000 slow readers": (many, READER, 1000, b""),
        "600 refused a second": (refused, 600),
    }
    record = {
        "schema": 1,
        "bench": "peers",
        "program": arguments.name,
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "cpu_model": cpu_model(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "seconds": arguments.seconds,
        "beside": {},
    }
    for name, attack in attacks.items():
        record["beside"][name] = measure(arguments.program, attack, arguments.seconds)
        print(f"{name:24} {record['beside'][name]}", flush=True)
    if arguments.record:
        with open(arguments.record, "w") as file:
            json.dump(record, file, indent=1)
            file.write("\n")
    good_enough = [
        numbers["lost"] == 0 and numbers.get("p99_ms", 1e9) <= 250
        for numbers in record["beside"].values()
    ]
    return 0 if all(good_enough) else 1


if __name__ == "__main__":
    sys.exit(main())
