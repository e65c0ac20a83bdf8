#!/usr/bin/env python3
"""slowhttptest (Debian) with 2000 connections in its three modes, beside a good client.

    benches/throughput/peers/slowhttptest.py PROGRAM [--seconds N] [--add-to FILE]

Exit code 1 if a good request is lost after the first second; 4 where there is no slowhttptest.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time

from run import good, listening

MODES = {
    "slow headers (-H)": ["-H", "-i", "3", "-p", "2"],
    "slow bodies (-B)": ["-B", "-i", "3", "-s", "8192", "-p", "2"],
    "slow readers (-X)": ["-X", "-k", "3", "-n", "5", "-z", "32", "-w", "512", "-y", "1024"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--add-to", metavar="FILE", help="a record of run.py")
    arguments = parser.parse_args()
    if not shutil.which("slowhttptest"):
        print("there is no slowhttptest: apt-get install slowhttptest", file=sys.stderr)
        return 4
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10000), hard))
    all_lost = 0
    beside = {}
    for name, flags in MODES.items():
        server, port = listening(arguments.program)
        path = "/reply?bytes=100000" if flags[0] == "-X" else "/"
        attack = subprocess.Popen(
            ["slowhttptest", "-c", "2000", "-r", "1000", "-l", str(arguments.seconds + 2), *flags]
            + ["-u", f"http://127.0.0.1:{port}{path}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1)
        latencies, lost = good(port, arguments.seconds)
        all_lost += lost
        p99 = latencies[int(len(latencies) * 0.99)] if latencies else float("nan")
        worst = latencies[-1] if latencies else float("nan")
        print(f"{name:20} answered {len(latencies)} lost {lost} p99 {p99:.1f} max {worst:.1f} ms")
        numbers = {"answered": len(latencies), "lost": lost}
        if latencies:
            numbers |= {"p99_ms": round(p99, 2), "max_ms": round(worst, 2)}
        beside[name] = numbers
        attack.terminate()
        attack.wait()
        server.kill()
        server.wait()
    if arguments.add_to:
        with open(arguments.add_to) as file:
            record = json.load(file)
        record["slowhttptest"] = {"seconds": arguments.seconds, "beside": beside}
        with open(arguments.add_to, "w") as file:
            json.dump(record, file, indent=1)
            file.write("\n")
    return 1 if all_lost else 0


if __name__ == "__main__":
    sys.exit(main())
