#!/usr/bin/python3
"""bench_more.py growth|scaling|changes|reloads|geo|soak [NUMBER]: what `make bench` does not show. dnsd alone, on cores 0 and 1.

    growth [ROUNDS]  start, memory and cost of an answer by the number of mirrors and of static records
    scaling          cost of an answer with one worker and with two
    changes [PAIRS]  a saturated server while feeds and reloads come in, against itself in peace (default 56 pairs of slices: 1,000 feeds, 100 reloads)
    reloads [NUMBER] so many reloads under half of what the server can do (default 1,000): what is lost
    geo [NUMBER]     the real database renamed into place so many times (default 10): how long until it is in use
    soak [SECONDS]   four fifths of what the server or, where that is less, the driver can do, with feeds and reloads (default 3600)

The cost of an answer is the time that the workers' threads ran, divided by the answers: on a shared machine answers a second say little.
Needs the programs of `make bench`. Exits with 1 when something that must hold does not.
"""
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TOP, "tests", "func"), os.path.join(TOP, "scripts")]
from bench_site import country_codes  # noqa: E402  (the paths above)
from harness import Daemon, Site, addresses, exchange_udp, make_query, mirrors_text, parse_answer, wait_until  # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
GEO = os.path.join(TOP, "var", "geo", "country.mmdb")
ZONE = "clamav.net"
NAMES = 'pools = ( { pool = "clamav"; nearest = [ "db.local" ]; country = [ "db.%c" ]; world = [ "database" ]; } );'
VERSIONS = '{ name = "current.cvd"; software = "1.4.3"; main = 62; daily = 27500; bytecode = 335; ttl = 300; }'
HEAD = "$TTL 1h\n@\tSOA\tns1 hostmaster 1 3h 30m 2w 5m\n@\tNS\tns1\nns1\tA\t192.0.2.251\n"
SERVER_CORE, ASKING_CORE = 0, 1
SLICE_S = 0.3
START_EVERY_S = 0.001
WARM_S = 30
# What docs/performance.md promises of a server with so many mirrors, and of the cost of an answer against one with a hundred.
MIRRORS_MANY, START_MAX_S, MEMORY_MAX_KB, GROWTH_MAX = 10000, 1, 64 << 10, 0.03
GEO_MAX_S = 1


class Server:
    """A running dnsd whose first worker has core 0 for itself; with two workers the second has core 1, like all else."""

    def __init__(self, site):
        begin = time.monotonic()
        self.daemon = Daemon(site.path)
        self.port = self.daemon.addr[1]
        wire = make_query(f"current.cvd.{ZONE}", "TXT").to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(self.daemon.addr)
            sock.settimeout(START_EVERY_S)
            while True:
                sock.send(wire)
                try:
                    sock.recv(4096)
                    break
                except TimeoutError:
                    pass
        self.start_s = time.monotonic() - begin
        self.workers = []
        for task in os.listdir(f"/proc/{self.daemon.pid}/task"):
            with open(f"/proc/{self.daemon.pid}/task/{task}/comm") as file:
                number = re.fullmatch(r"dnsd-worker-(\d+)\n", file.read())
            core = SERVER_CORE if number and number[1] == "0" else ASKING_CORE
            os.sched_setaffinity(int(task), {core})
            if number:
                self.workers.append(task)

    def on_core_ns(self):
        total = 0
        for task in self.workers:
            with open(f"/proc/{self.daemon.pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()


def driver(name, *words, core=ASKING_CORE):
    return subprocess.Popen(["taskset", "-c", str(core), os.path.join(BUILD, "tests", "bench", name), *map(str, words)],
                            stdout=subprocess.PIPE, text=True)


def figures(process):
    text, _ = process.communicate()
    return {key: float(value) for key, value in re.findall(r"(\w+)=([0-9.]+)", text)}


def flood(server, kind, seconds, *words, cores=(ASKING_CORE,)):
    """Answers a second, nanoseconds each, wrong ones of the sample, the sample."""
    before = server.on_core_ns()
    got = [figures(one) for one in [driver("flood", server.port, kind, seconds, *words, core=core) for core in cores]]
    rate = sum(one["rate"] for one in got)
    spent = server.on_core_ns() - before
    return rate, spent / max(rate * seconds, 1), sum(one["wrong"] for one in got), sum(one["sample"] for one in got)


def ask(server, seconds, rate):
    """Questions at a steady pace: the driver's figures."""
    return figures(driver("load", server.port, "mix", f"{seconds:.0f}", rate))


def followed(server):
    """Feeds that came in force, by the log."""
    return sum("feed serial" in line and "in force" in line for line in server.daemon.log.lines)


def make_site(folder, mirrors_n, statics_n=0, workers=1, feed=False):
    """Mirrors spread evenly over the countries, even and odd addresses alike."""
    site = Site(folder)
    codes = [code.upper() for code in country_codes() if code != "uk"]
    site.write("mirrors.conf", mirrors_text([
        (f"m{i}.example", codes[i // 2 % len(codes)], [f"198.{18 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"]) for i in range(mirrors_n)]))
    site.write("regions.conf", "regions = ();\nneighbours = ();\n")
    site.write("clamav.zone", HEAD + "".join(f"h{i}\tA\t203.0.{i >> 8 & 255}.{i & 255}\n" for i in range(statics_n)))
    more = {"feed": '"feed/feed.json"', "max-removal": 100, "feed-hold": '"1s"'} if feed else {}
    if feed:
        write_feed(site, 0, mirrors_n)
    site.conf([site.zone(name=ZONE, pools=NAMES, versions=VERSIONS)], [site.pool(**({"max-answers": 4} | more))],
              geo=f'database = "{GEO}"; max-age = 0;', workers=workers, server=f'state-directory = "{site.folder_for("state")}";' if feed else "")
    return site


def write_feed(site, serial, mirrors_n):
    """The even mirrors are out by even serials, the odd ones by odd."""
    out = [{"mirror": f"m{i}.example", "reason": "unreachable"} for i in range(serial % 2, mirrors_n, 2)]
    site.write("feed/feed.json", json.dumps({"format": 1, "pool": "clamav", "serial": serial + 1, "generated": int(time.time()), "excluded": out}))


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(str(cell).rjust(width) for cell, width in zip(row, widths)) + " |", flush=True)


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} ({low:.2f}–{high:.2f})"


def growth(rounds):
    """What an answer costs at each size: the median, and, since the machine's pace changes all the time, the ratio to the first size of the group in
    the same round and kind."""
    kinds = ("txt", "country", "local", "nx")
    sizes = [(100, 0), (1000, 0), (10000, 0), (134, 1), (134, 1000), (134, 100000), (134, 1000000)]
    rows, ratios = [], []
    holds = True
    for group in (sizes[:3], sizes[3:]):
        with tempfile.TemporaryDirectory() as top:
            servers = []
            for mirrors_n, statics_n in group:
                folder = os.path.join(top, f"{mirrors_n}-{statics_n}")
                os.mkdir(folder)
                server = Server(make_site(folder, mirrors_n, statics_n))
                loaded = [match[1] for match in (re.search(r"loaded: .*\btime=(\d+)ms", line) for line in server.daemon.log.lines) if match]
                servers.append((mirrors_n, statics_n, server, loaded[-1] if loaded else "?", {kind: [] for kind in kinds}))
            for turn in range(rounds):
                for kind in kinds:
                    first = turn % len(servers)  # none is always the one behind the largest
                    for *_, server, _, costs in servers[first:] + servers[:first]:
                        costs[kind].append(flood(server, kind, SLICE_S)[1])
            base = servers[0][-1]
            for mirrors_n, statics_n, server, loaded, costs in servers:
                size = (f"{mirrors_n:,}", f"{statics_n:,}")
                rows.append(size + (f"{server.start_s:.2f}", loaded, f"{server.daemon.rss_kb() / 1024:.0f}")
                            + tuple(f"{statistics.median(costs[kind]):,.0f}" for kind in kinds))
                if costs is not base:
                    against = {kind: [one / other for one, other in zip(costs[kind], base[kind])] for kind in kinds}
                    ratios.append(size + tuple(quartiles(against[kind]) for kind in kinds))
                    if mirrors_n == MIRRORS_MANY:
                        holds = server.start_s <= START_MAX_S and server.daemon.rss_kb() <= MEMORY_MAX_KB and all(
                            abs(statistics.median(each) - 1) <= GROWTH_MAX for each in against.values())
                server.daemon.stop()
    table(("mirrors", "records", "first answer s", "loaded ms", "MiB") + tuple(f"{kind} ns" for kind in kinds), rows)
    print("\nagainst the first size of the group, in the same round: median (quartiles)")
    table(("mirrors", "records") + kinds, ratios)
    return holds


def scaling():
    rows = []
    with tempfile.TemporaryDirectory() as top:
        servers = {}
        for workers in (1, 2):
            folder = os.path.join(top, str(workers))
            os.mkdir(folder)
            servers[workers] = Server(make_site(folder, 134, workers=workers))
        for kind in ("txt", "country", "local", "mix"):
            got = {1: [], 2: []}
            for _ in range(21):
                for workers, server in servers.items():
                    got[workers].append(flood(server, kind, SLICE_S, cores=(0, 1)))
            cost = {n: statistics.median(one[1] for one in got[n]) for n in got}
            rate = {n: statistics.median(one[0] for one in got[n]) for n in got}
            rows.append((kind, f"{rate[1]:,.0f}", f"{rate[2]:,.0f}", f"{cost[1]:,.0f}", f"{cost[2]:,.0f}", f"{cost[1] / cost[2]:.2f}"))
        for server in servers.values():
            server.daemon.stop()
    table(("query", "1 worker/s", "2 workers/s", "ns each, 1", "ns each, 2", "efficiency"), rows)
    return True


class Changes(threading.Thread):
    """Feeds, and reloads, at a steady pace while `on` is set."""

    def __init__(self, site, server, mirrors_n, feed_every_s, feeds_a_reload):
        super().__init__(daemon=True)
        self.site, self.server, self.mirrors_n = site, server, mirrors_n
        self.feed_every_s, self.feeds_a_reload = feed_every_s, feeds_a_reload
        self.on = threading.Event()
        self.ended = threading.Event()
        self.serial = 0
        self.reloads_n = 0
        self.trouble = None

    def run(self):
        try:
            while not self.ended.wait(self.feed_every_s):
                if self.on.is_set():
                    self.change()
        except Exception as trouble:  # pylint: disable=broad-except
            self.trouble = trouble  # told by stop(): the thread that measures must not go on as if all were well

    def change(self):
        self.serial += 1
        write_feed(self.site, self.serial, self.mirrors_n)
        if self.serial % self.feeds_a_reload == 0:
            self.server.daemon.reload()
            self.reloads_n += 1

    def stop(self):
        self.ended.set()
        self.join()
        if self.trouble:
            raise self.trouble


def changes(pairs):
    mirrors_n = 134
    with tempfile.TemporaryDirectory() as top:
        site = make_site(top, mirrors_n, feed=True)
        with Server(site) as server:
            maker = Changes(site, server, mirrors_n, 0.05, 10)
            maker.start()
            peace, busy = [], []
            while len(busy) < pairs:
                for on, into in ((False, peace), (True, busy)):
                    (maker.on.set if on else maker.on.clear)()
                    into.append(flood(server, "mix", 1.0, "states"))
            maker.stop()
            wait_until(lambda: addresses_end_in(server, 1 - maker.serial % 2), "the last feed is in force")
            in_force = followed(server)
    ratio = statistics.median(b[0] / a[0] for a, b in zip(peace, busy))
    cost = statistics.median(b[1] / a[1] for a, b in zip(peace, busy))
    wrong = sum(one[2] for one in peace + busy)
    sample = sum(one[3] for one in peace + busy)
    print(f"{maker.serial} feeds, {in_force} of them in force, {maker.reloads_n} reloads in {pairs} s of changes; answers/s in peace "
          f"{statistics.median(one[0] for one in peace):,.0f}, with changes {statistics.median(one[0] for one in busy):,.0f}; median ratio "
          f"of neighbours {ratio:.3f}; time on the core of an answer {cost:.3f}; {sample:.0f} answers looked at, {wrong:.0f} wrong or of two states")
    return wrong == 0 and ratio > 0.95 and in_force > 0.95 * maker.serial


def addresses_end_in(server, parity):
    """Are the mirrors in force those with even (0) or odd (1) addresses? A question among the last of a flood may be lost."""
    request = make_query(f"database.{ZONE}", "A").to_wire()
    wire = exchange_udp(server.daemon.addr, request, deadline_s=0.2)
    return wire and all(int(address.rpartition(".")[2]) % 2 == parity for address in addresses(parse_answer(request, wire)))


def reloads(number):
    mirrors_n = 134
    with tempfile.TemporaryDirectory() as top:
        site = make_site(top, mirrors_n, feed=True)
        with Server(site) as server:
            rate = int(0.5 * statistics.median(flood(server, "mix", 1.0)[0] for _ in range(5)))
            maker = Changes(site, server, mirrors_n, 0.04, 1)
            maker.on.set()
            maker.start()
            parts = []
            while maker.reloads_n < number and maker.is_alive():
                parts.append(ask(server, 5, rate))
            maker.stop()
    lost, wrong = (sum(part[name] for part in parts) for name in ("lost", "wrong"))
    slowest = min(part["rate"] for part in parts)
    print(f"{maker.reloads_n} reloads in {5 * len(parts)} s at {rate:,}/s, half of what it can do: lost {lost:.0f}, wrong {wrong:.0f}; "
          f"answers/s in the slowest part {slowest:,.0f}")
    # Reloads share their core with the driver, which may fall behind a little.
    return lost == 0 and wrong == 0 and slowest > 0.75 * rate


def geo(number):
    """From the rename to the log's line that it is in use; each time a copy, so that the file is another one."""
    with tempfile.TemporaryDirectory() as top:
        site = make_site(top, 134)
        database = site.write("country.mmdb", "")
        shutil.copy(GEO, database)
        with open(site.path, encoding="utf-8") as file:
            text = file.read()
        with open(site.path, "w", encoding="utf-8") as file:
            file.write(text.replace(GEO, database))
        took = []
        with Server(site) as server:
            for _ in range(number):
                shutil.copy(GEO, database + ".new")
                mark = server.daemon.log.mark()
                begin = time.monotonic()
                os.rename(database + ".new", database)
                server.daemon.log.wait("geo database in use", mark)
                took.append(time.monotonic() - begin)
    print(f"{number} times {os.path.getsize(GEO) / 1e6:.1f} MB renamed into place: in use after {statistics.median(took):.2f} s in the median, "
          f"{max(took):.2f} s at most")
    return max(took) <= GEO_MAX_S


def soak(seconds):
    mirrors_n = 134
    with tempfile.TemporaryDirectory() as top:
        site = make_site(top, mirrors_n, feed=True)
        with Server(site) as server:
            capacity = statistics.median(flood(server, "mix", 1.0)[0] for _ in range(5))
            alone = statistics.median(ask(server, 1, 10_000_000)["rate"] for _ in range(3))
            rate = int(0.8 * min(capacity, alone))
            print(f"capacity {capacity:,.0f}/s, of which the driver can ask {alone:,.0f}/s; asking {rate:,}/s, {rate / capacity:.0%} of it, for "
                  f"{seconds} s", flush=True)
            # What the allocator keeps grows for the first changes; after those, memory is to be flat.
            warming = Changes(site, server, mirrors_n, 0.05, 10)
            warming.on.set()
            warming.start()
            time.sleep(WARM_S)
            warming.stop()
            maker = Changes(site, server, mirrors_n, 1.0, 10)
            maker.serial = warming.serial
            maker.on.set()
            maker.start()
            rows = []
            lost = wrong = 0
            slowest = rate
            begin = time.monotonic()
            part = max(min(60, seconds / 10), 1)
            while time.monotonic() - begin < seconds:
                got = ask(server, part, rate)
                lost += got["lost"]
                wrong += got["wrong"]
                slowest = min(slowest, got["rate"])
                rows.append((f"{time.monotonic() - begin:.0f}", f"{got['rate']:,.0f}", f"{got['lost']:.0f}", f"{got['p50']:.0f}", f"{got['p99']:.0f}",
                             f"{got['p999']:.0f}", f"{server.daemon.rss_kb()}"))
            maker.stop()
            in_force = followed(server)
    table(("s", "answers/s", "lost", "p50 us", "p99 us", "p99.9 us", "RSS KiB"), rows)
    rss = [int(row[-1]) for row in rows]
    # From the start on, and once more by quarters: it goes up and down by half a MiB with what is loaded and freed.
    quarter = max(len(rss) // 4, 1)
    growth_kb = statistics.median(rss[-3:]) - statistics.median(rss[1:4])
    later_kb = statistics.median(rss[-quarter:]) - statistics.median(rss[quarter:2 * quarter])
    feeds_n = maker.serial - warming.serial
    print(f"{feeds_n} feeds after {warming.serial} quick ones, {in_force} in force, {maker.reloads_n} reloads, lost {lost:.0f}, wrong {wrong:.0f}, memory from {rss[0]} to {rss[-1]} KiB "
          f"({growth_kb:+.0f} after the first part, {later_kb:+.0f} from the second quarter to the last)")
    return (wrong == 0 and lost == 0 and growth_kb < 1024 and later_kb < 512 and slowest > 0.5 * rate
            and in_force > 0.9 * maker.serial and maker.reloads_n >= seconds // 12)


def main():
    parts = {"growth": (growth, (40,)), "scaling": (scaling, ()), "changes": (changes, (56,)),
             "reloads": (reloads, (1000,)), "geo": (geo, (10,)), "soak": (soak, (3600,))}
    words = sys.argv[1:]
    if not words or words[0] not in parts or len(words) > 1 + len(parts[words[0]][1]):
        sys.exit(__doc__)
    function, default = parts[words[0]]
    return 0 if function(*(tuple(map(int, words[1:])) or default)) else 1


if __name__ == "__main__":
    sys.exit(main())
