"""A feed followed under load: how long until the first changed answer, and nothing lost or empty on the way."""
import json
import os
import socket
import struct
import time

from harness import check, check_equal, is_sanitized, make_query, need_program
from t80_load import Load

CHANGES = 40 if is_sanitized() else 200
# Half of what dnsperf on the other core gets out of it, on the slowest machine these tests run on.
RATE = 1000 if is_sanitized() else int(os.environ.get("FOLLOW_RATE", 40000))
COUNTRIES = ("DE FR GB US JP NL SE IT AU CN CZ BE BR AT ZA NZ IN LI CH DK NO FI PL PT ES HU RO BG GR TR UA LT LV EE IE HK SG "
             "TW CA").split()
LIMIT_S = 0.25 if is_sanitized() else 0.02


def network():
    """134 mirrors in 39 countries."""
    return [(f"m{i}.{country.lower()}.example", country, [f"192.0.{i // 200}.{i % 200 + 1}"])
            for i, country in enumerate(COUNTRIES[i % len(COUNTRIES)] for i in range(134))]


class Probe:
    """Asks for a country again and again, from a socket whose flow belongs to one worker."""

    def __init__(self, server, country):
        self.wire = make_query(f"db.{country.lower()}.clamav.test", "A").to_wire()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(2)
        self.sock.connect(server)
        self.empty = self.lost = 0

    def members(self):
        self.sock.send(self.wire)
        try:
            answer = self.sock.recv(4096)
        except socket.timeout:
            self.lost += 1
            return set()
        n = struct.unpack(">H", answer[6:8])[0]
        self.empty += n == 0
        # Each record ends with its address, and has 16 bytes.
        return {answer[len(self.wire) + 16 * i + 12:len(self.wire) + 16 * i + 16] for i in range(n)}


def feed(serial, out):
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial,
                       "excluded": [{"mirror": out, "reason": "unreachable"}] if out else []})


def test_follow(case, _):
    """200 changes under load: from the rename to the first changed answer, 20 ms at the 99th percentile."""
    need_program("dnsperf")
    mirrors = network()
    site = case.site()
    os.makedirs(site.file("state"))
    site.write("feed.json", feed(1, None))
    site.pool_site(mirrors, pool={"feed": '"feed.json"', "max_removal": 80}, server='state-directory = "state";')
    daemon = case.daemon(site)
    host, country, addresses = mirrors[0]
    gone = socket.inet_aton(addresses[0])
    probes = [Probe(daemon.addr, country) for _ in range(8)]
    load = Load(daemon.addr, [(f"db.{c.lower()}.clamav.test", "A") for c in COUNTRIES], 120, rate=RATE)
    times = []
    try:
        time.sleep(1)  # dnsperf takes a moment to come up to its rate
        for i in range(CHANGES):
            out = i % 2 == 0
            site.write("feed.next", feed(2 + i, host if out else None))
            begin = time.monotonic()
            os.rename(site.file("feed.next"), site.file("feed.json"))
            while (gone not in probes[0].members()) != out:
                check(time.monotonic() < begin + 5, f"change {i} is not followed")
                time.sleep(0.0005)  # the prober shall not be the load
            times.append(time.monotonic() - begin)
            for probe in probes:
                while (gone not in probe.members()) != out:
                    check(time.monotonic() < begin + 5, f"change {i} is not followed by every worker")
            time.sleep(0.02)
    finally:
        statistics = load.stop()
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99) - 1]
    sent = statistics["sent"]
    print(f"     {CHANGES} changes: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, largest {times[-1] * 1000:.1f} ms, "
          f"beside {sent} queries of dnsperf at {RATE}/s")
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")
    check_equal([probe.empty for probe in probes], [0] * 8, "empty answers")
    check_equal([probe.lost for probe in probes], [0] * 8, "probes lost")
    check(p99 <= LIMIT_S, f"99th percentile {p99 * 1000:.1f} ms")
