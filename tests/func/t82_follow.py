"""How soon a new feed shows in the answers, under load, with the whole of the example's pool."""
import json
import os
import re
import shutil
import struct
import time

from harness import (TOP, POOL_NAMES, ZONE_TEXT, amount, check, check_equal, cvd_file, is_sanitized, make_query, need_program,
                     open_socket, question_end, wait_until)
from t80_load import Load
from t86_metrics import LISTEN, Metrics, add_metrics, metrics_addr

CHANGES = 60 if is_sanitized() else 200
WORKERS = 2
CAPACITY_S = 2  # how long it is looked for
FIXED_RATE = 1000  # sanitized: the capacity of such a build is no measure
# The goal is 20 ms, which a neighbour of a virtual machine may spoil unseen.
LIMIT_MS = amount(40, 20, 40)
ATTEMPTS = 2
# Where others take this share of the processors (or the hypervisor does), no time means much.
OTHERS_SHARE = 0.15
LIMIT_OVERLOADED_MS = 500
VERSIONS = 'versions = ( { name = "current.cvd"; directory = "cvd"; software = "1.4.3"; } );'


def read_mirrors(path):
    """[(host, country, IPv4 addresses)] of a mirrors file whose blocks name these in this order."""
    with open(path) as file:
        found = re.findall(r'host = "([^"]+)"; country = "(..)"; addresses = \[([^\]]*)\]', file.read())
    return [(host, country, [a for a in re.findall(r'"([^"]+)"', text) if ":" not in a]) for host, country, text in found]


def packed(address):
    return bytes(int(part) for part in address.split("."))


class World:
    """A daemon like ClamAV's that follows a feed, keeps its state and tells who answers how much."""

    def __init__(self, case):
        self.site = site = case.site()
        example = os.path.join(TOP, "contrib", "clamav.net")
        for name in ("mirrors.conf", "regions.conf"):
            shutil.copy(os.path.join(example, name), site.file(name))
        for number, name in enumerate(("main", "daily", "bytecode"), 60):
            site.write(f"cvd/{name}.cvd", cvd_file(number))
        os.mkdir(site.file("state"))
        os.mkdir(site.file("feed"))
        site.write("clamav.zone", ZONE_TEXT)
        self.serial = 0
        self.write_feed()
        site.conf([site.zone(pools=POOL_NAMES + VERSIONS)], [site.pool(feed='"feed/feed.json"')], workers=WORKERS,
                  server='state-directory = "state";')
        add_metrics(site, LISTEN)
        self.daemon = case.daemon(site)
        self.metrics = metrics_addr(self.daemon)
        self.mirrors = [mirror for mirror in read_mirrors(site.file("mirrors.conf")) if mirror[2]]

    def write_feed(self, out=None):
        """The time when it was in place. Where others keep the disk busy, rename() itself waits for it, seconds even."""
        self.serial += 1
        excluded = [{"mirror": out, "reason": "unreachable"}] if out else []
        path = self.site.file("feed/feed.json")
        with open(path + ".new", "w") as file:
            json.dump({"format": 1, "pool": "clamav", "serial": self.serial, "generated": int(time.time()),
                       "excluded": excluded}, file)
        os.rename(path + ".new", path)
        return time.monotonic()

    def counts(self):
        return {dict(labels)["worker"]: value for labels, value in Metrics(self.metrics).all("dnsd_queries_total").items()}


class Probe:
    """Asks one worker, over and over: a socket is always answered by the same one."""

    def __init__(self, world):
        self.sock = open_socket(world.daemon.addr, 2)  # SOCK_DGRAM
        self.wires = {country: make_query(f"db.{country.lower()}.big.clamav.test", "A", edns=1232).to_wire()
                      for _, country, _ in world.mirrors}
        before = world.counts()
        self.members("DE")
        after = world.counts()
        moved = [worker for worker in after if after[worker] != before[worker]]
        check_equal(len(moved), 1, "workers that have answered one query")
        self.worker = moved[0]

    def members(self, country):
        """The addresses of a country's mirrors, packed. Never none."""
        request = self.wires[country]
        self.sock.send(request)
        wire = self.sock.recv(4096)
        check(wire[:2] == request[:2] and wire[3] & 15 == 0 and not wire[2] & 2, f"db.{country}: {wire[:12].hex()}")
        found = set()
        at = question_end(request)
        for _ in range(struct.unpack(">H", wire[6:8])[0]):
            check(wire[at] & 0xc0, f"an owner that is no pointer in the answer to db.{country}")
            found.add(wire[at + 12:at + 16])
            at += 16
        check(found, f"an empty answer to db.{country}")
        return found


def probes_of_all(world):
    """One probe for each worker."""
    found = {}
    for _ in range(100):
        probe = Probe(world)
        if found.setdefault(probe.worker, probe) is not probe:
            probe.sock.close()
        if len(found) == WORKERS:
            return list(found.values())
    check(False, f"100 sockets, and only workers {sorted(found)} have answered")


def capacity(world, names):
    """Queries a second that dnsperf gets answered."""
    load = Load(world.daemon.addr, names, 60, rate=None)
    time.sleep(CAPACITY_S)
    load.stop()
    return float(re.search(r"Queries per second:\s+([0-9.]+)", load.text)[1])


class OthersShare:
    """The share of all processors that goes to processes that are none of these. Not what is done in interrupts: that is nobody's, and nearly
    all of it is for the packets of these."""

    def __init__(self, pids):
        self.pids = pids
        self.begin = self.ticks()

    def ticks(self):
        with open("/proc/stat") as file:
            user, niced, system, idle_, iowait, irq, softirq, steal = (int(word) for word in file.readline().split()[1:9])
        own = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/stat") as file:
                own += sum(int(word) for word in file.read().rpartition(")")[2].split()[11:13])
        busy = user + niced + system + steal
        return busy - own, busy + irq + softirq + idle_ + iowait

    def get(self):
        (busy, total), (busy_before, total_before) = self.ticks(), self.begin
        return max(busy - busy_before, 0) / max(total - total_before, 1)


def percentile(values, percent):
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def follow(probes, country, address, present, start):
    """How long after start each probe was first answered with (or without) the address, in ms."""
    took = []
    waiting = list(probes)
    while waiting:
        for probe in list(waiting):
            if (address in probe.members(country)) == present:
                took.append((time.monotonic() - start) * 1000)
                waiting.remove(probe)
        check(time.monotonic() - start < 10, f"db.{country} has not changed in 10 s")
    return took


def idle(probes, countries, seconds, control):
    """Ask while nothing changes: how long an answer takes then is what times are to be compared with."""
    end = time.monotonic() + seconds
    while True:
        for probe in probes:
            start = time.monotonic()
            probe.members(next(countries))
            control.append((time.monotonic() - start) * 1000)
        if time.monotonic() > end:
            return


def measure_follow(case):
    """(p99 of the first answers in ms, its limit, all about it)."""
    world = World(case)
    names = [(f"db.{country.lower()}.clamav.test", rdtype) for _, country, _ in world.mirrors for rdtype in ("A", "AAAA")]
    names += [("db.local.clamav.test", "A"), ("current.cvd.clamav.test", "TXT"), ("no-such.clamav.test", "A")]
    rate = FIXED_RATE if is_sanitized() else int(capacity(world, names) / 2)
    probes = probes_of_all(world)
    load = Load(world.daemon.addr, names, 170, rate=rate)
    try:
        countries = iter(lambda: case.random.choice(world.mirrors)[1], None)
        took, control = [], []
        begin = time.monotonic()
        others = OthersShare((os.getpid(), world.daemon.pid, load.process.pid))
        idle(probes, countries, 0.5, control)
        for _ in range(CHANGES // 2):
            host, country, addresses = case.random.choice(world.mirrors)
            for out in (host, None):
                start = world.write_feed(out)
                took += follow(probes, country, packed(addresses[0]), out is None, start)
                # Also so soon that what was kept of the last feed is still on its way to disk.
                idle(probes, countries, case.random.choice((0, 0.005, 0.02, 0.05)), control)
        seconds = time.monotonic() - begin
        others_share = others.get()
    finally:
        statistics = load.stop()
        for probe in probes:
            probe.sock.close()
    limit = LIMIT_OVERLOADED_MS if others_share > OTHERS_SHARE or is_sanitized() else LIMIT_MS
    note = (f"{len(took)} first answers after {CHANGES} feeds at {rate}/s: p50 {percentile(took, 50):.1f} "
            f"p99 {percentile(took, 99):.1f} max {max(took):.1f} ms; a plain answer: p50 {percentile(control, 50):.2f} "
            f"p99 {percentile(control, 99):.2f} ms; others took {others_share:.0%} of the machine: limit {limit} ms")
    print(f"note t82_follow: {note}", flush=True)
    check_equal(statistics.get("lost"), 0, f"queries lost; dnsperf says:\n{load.text}")
    check(statistics.get("completed", 0) >= rate * seconds / 2, f"{statistics} in {seconds:.0f} s\n{load.text}")
    check(not re.search(r"SERVFAIL|REFUSED|FORMERR", load.text), f"rcodes:\n{load.text}")
    after = world.daemon.counters()
    check_equal((after["udp_send_errors"], after["servfail"]), (0, 0), "send errors, SERVFAIL")
    world.daemon.stop()
    return percentile(took, 99), limit, note


def test_follow(case, _):
    """A mirror goes and comes back by 200 feeds at half the server's capacity: in the answers within 20 ms (make test: 40). A miss is measured again,
    since a neighbour of a virtual machine may slow it down unseen."""
    need_program("dnsperf")
    for _ in range(ATTEMPTS):
        p99, limit, note = measure_follow(case)
        if p99 <= limit:
            return
    check(False, f"p99 is over {limit} ms, {ATTEMPTS} times: {note}")


def test_written_beside(case, _):
    """What is written beside a feed is no reason to look; a feed written in place, or renamed, is."""
    world = World(case)

    def generation():
        return Metrics(world.metrics)("dnsd_snapshot_generation")

    def rests():
        before = generation()
        time.sleep(0.1)
        return generation() == before
    world.write_feed("clamav1.de.example")
    world.daemon.log.wait("feed serial 2 in force")
    wait_until(rests, "no more snapshots")
    before = generation()
    for _ in range(20):
        with open(world.site.file("feed/feed.json.new"), "w") as file:
            file.write("{")
    with open(world.site.file("feed/feed.json"), "w") as file:
        json.dump({"format": 1, "pool": "clamav", "serial": 3, "excluded": []}, file)
    world.daemon.log.wait("feed serial 3 in force")
    check(generation() - before <= 2, f"{generation() - before} snapshots for one change")
    world.serial = 3
    world.write_feed()
    world.daemon.log.wait("feed serial 4 in force")
