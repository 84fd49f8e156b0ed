"""Many mirrors with two families: a whole round on one core; 2,000 of them (TESTS=long) within a minute, fewer in that share of it."""
import json
import os
import re
import subprocess
import time

from harness import amount, check, check_equal, check_within, is_sanitized, need_program
from mirror_world import MIRRORMON, MirrorWorld, ip

MIRRORS_N = amount(800, 2000, 200)
COUNTRIES = ("DE", "FR", "GB", "US", "JP", "BR", "ZA", "AU")


class ManyWorld(MirrorWorld):
    """One folder and one virtual server for all: it answers on every address."""

    def start_nginx(self, more=""):
        self.mirrors = [Many(f"m{i}.example", COUNTRIES[i % len(COUNTRIES)],
                             [f"198.18.{i >> 8}.{i & 255}", f"2001:db8:1::{i:x}"]) for i in range(1, MIRRORS_N + 1)]
        ip("-n", self.name, "route", "add", "local", "198.18.0.0/16", "dev", "lo")
        super().start_nginx()

    def servers_text(self):
        return f"server {{ listen 80 backlog=4096; listen [::]:80 ipv6only=on backlog=4096; root {self.references[0].folder}; access_log off; }}"


class Many:
    def __init__(self, host, country, addresses):
        self.host, self.country, self.addresses = host, country, addresses


def setup(case):
    world = ManyWorld(case, [])
    world.release({"main": 62, "daily": 100, "bytecode": 335}, {f"daily-{n}.cdiff": b"ClamAV-Diff:" for n in range(91, 101)})
    world.references[0].sync()
    return world


def test_round(case, world):
    """Everything a check asks for by default, of everybody, each address once."""
    site = case.site()
    path = world.write_monitor(site, checks={"databases": None, "cdiffs": "10", "timeout": '"30s"', "connect-timeout": '"10s"', "interval": None,
                                             "retry": None}, announce={"settle": '"0s"'})
    command = ["ip", "netns", "exec", world.name]
    if os.cpu_count() > 1:
        run_on = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(world.web.pid, {run_on[0]})
        command += [need_program("taskset"), "-c", str(run_on[-1])]
    log = open(site.file("log"), "w+")
    begin = time.monotonic()
    process = subprocess.Popen([*command, MIRRORMON, "-c", path, "--once"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - begin
    log.seek(0)
    text = log.read()
    log.close()
    check_equal(process.returncode, 0, f"exit status; it says:\n{text[-3000:]}")
    with open(site.file("feed.json")) as file:
        feed = json.load(file)
    check_equal(feed["excluded"], [], "who is out")
    check_equal(feed.get("versions", {}).get("daily"), 100, f"the version it announces:\n{text[-2000:]}")
    check(not re.search("warning|error", text), text[-3000:])
    print(f"     {2 * MIRRORS_N} addresses in {took:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of one core, "
          f"{usage.ru_maxrss / 1024:.0f} MB")
    if not is_sanitized():
        if MIRRORS_N == 2000:
            check_within(took, 60, "a round")
        # Of its own time: others may want the same core.
        check(usage.ru_utime + usage.ru_stime < 60 * MIRRORS_N / 2000, f"{2 * MIRRORS_N} addresses took {took:.1f} s")
        check(usage.ru_maxrss < 256 * 1024, f"{usage.ru_maxrss} kB of memory")
