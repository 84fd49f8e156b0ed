"""1,000 reloads under load: no query lost, no memory growth, every answer from one consistent snapshot."""
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

from harness import (DEADLINE_S, ZONE_TEXT, Lookups, Tcp, addresses, check, check_equal, cvd_file, is_sanitized,
                     make_query, mirrors_text, need_program, parse_answer, records)

RELOADS = 1000
RATE = 1000 if is_sanitized() else 5000  # queries a second: load, not a race with the load generator for two cores

# Two states of the world. Each answer must be wholly of one of them.
STATES = [
    {"target": "db.de", "DE": [f"192.0.2.{i}" for i in range(1, 5)], "FR": [f"192.0.2.{i}" for i in range(11, 15)],
     "NL": [f"2001:db8:a::{i}" for i in range(1, 4)]},
    {"target": "db.fr", "DE": [f"198.51.100.{i}" for i in range(1, 5)], "FR": [f"198.51.100.{i}" for i in range(11, 15)],
     "NL": [f"2001:db8:b::{i}" for i in range(1, 4)]},
]


def write_state(site, state):
    site.write("mirrors.conf", mirrors_text([(f"m{i}.{country.lower()}.example", country, [address])
                                             for country in ("DE", "FR", "NL") for i, address in enumerate(state[country])]))
    site.write("clamav.zone", ZONE_TEXT + f"mirror	CNAME	{state['target']}\n")


class Load:
    """dnsperf in the background, until told to stop; with rate=None as fast as it goes."""

    def __init__(self, server, names, seconds, rate=RATE):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".queries")
        self.file.write("".join(f"{name} {rdtype}\n" for name, rdtype in names))
        self.file.flush()
        self.process = subprocess.Popen(
            [need_program("dnsperf"), "-s", server[0], "-p", str(server[1]), "-d", self.file.name, "-l", str(seconds),
             "-c", "8", "-t", "10"] + (["-Q", str(rate)] if rate else []), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        """Its statistics: {words: number}"""
        self.process.send_signal(signal.SIGINT)
        try:
            text = self.process.communicate(timeout=DEADLINE_S)[0]
        finally:
            self.process.kill()
            self.file.close()
        self.text = text
        return {words: int(number) for words, number in re.findall(r"^\s+Queries (\w+):\s+(\d+)", text, re.M)}


class Background(threading.Thread):
    """Takes turns, one after the other, until told to finish."""

    def __init__(self):
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.trouble = None

    def run(self):
        try:
            while not self.done.is_set():
                self.turn()
        except Exception as trouble:
            self.trouble = trouble

    def finish(self):
        """What went wrong meanwhile is raised here."""
        self.done.set()
        self.join(DEADLINE_S)
        if self.trouble:
            raise self.trouble
        check(not self.is_alive(), f"a {type(self).__name__} does not end")


@contextlib.contextmanager
def in_background(*threads):
    """Started here; told to end when the block is left by an exception too."""
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        for thread in threads:
            thread.done.set()


class Sampler(Background):
    """Asks all the while and checks what comes."""

    def __init__(self, ask_once):
        super().__init__()
        self.ask_once = ask_once
        self.n = 0
        self.seen = set()

    def turn(self):
        self.seen.add(self.ask_once())
        self.n += 1
        time.sleep(0.001)


def state_of(answer):
    """Which of the two states the answer is of; an answer of both is a failure."""
    got = sorted(addresses(answer))
    links = [data for _, _, kind, data in records(answer.answer) if kind == "CNAME"]
    for number, state in enumerate(STATES):
        for country in ("DE", "FR", "NL"):
            name = f"db.{country.lower()}.clamav.test."
            if got == sorted(state[country]) and (not links or links == [name] == [state["target"] + ".clamav.test."]):
                return number
    check(False, f"an answer of no single state: {links} {got}")


def test_reloads_under_load(case, _):
    """1,000 SIGHUPs, each turning the whole pool and a CNAME over, under dnsperf."""
    need_program("dnsperf")
    site = case.site()
    site.write("cvd/main.cvd", cvd_file(62))
    site.write("cvd/daily.cvd", cvd_file(27500))
    site.write("cvd/bytecode.cvd", cvd_file(335))
    site.pool_site([("m.example", "DE", ["192.0.2.1"])],
                   versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; }')
    write_state(site, STATES[0])
    daemon = case.daemon(site)
    names = [("www.clamav.test", "A"), ("db.de.clamav.test", "A"), ("db.local.clamav.test", "A"),
             ("current.cvd.clamav.test", "TXT"), ("db.nl.clamav.test", "AAAA"), ("no-such.clamav.test", "A"),
             ("mirror.clamav.test", "A"), ("db.us.clamav.test", "A")]
    load = Load(daemon.addr, names, 170)
    samplers = []
    try:
        lookups = case.stack.enter_context(Lookups(daemon.addr))
        turns = [("mirror.clamav.test", "A"), ("db.de.clamav.test", "A"), ("db.nl.clamav.test", "AAAA")]

        def over_udp():
            turns.append(turns.pop(0))
            return state_of(lookups.ask(*turns[0]))
        tcp = case.stack.enter_context(Tcp(daemon.addr))  # one connection for the whole time

        def over_tcp():
            wire = make_query("mirror.clamav.test", "A").to_wire()
            tcp.send(wire)
            return state_of(parse_answer(wire, tcp.receive()))
        samplers = [Sampler(over_udp), Sampler(over_tcp)]
        case.stack.enter_context(in_background(*samplers))

        start = time.monotonic()
        first_rss = 0
        for i in range(1, RELOADS + 1):
            write_state(site, STATES[i % 2])
            daemon.reload()
            if i == 100:
                first_rss = daemon.rss_kb()
            check(time.monotonic() - start < 120, f"only {i} reloads in 120 s")
        took = time.monotonic() - start
        grown = daemon.rss_kb() - first_rss
        for sampler in samplers:
            sampler.finish()
    finally:
        statistics = load.stop()
    check_equal(statistics.get("lost"), 0, f"queries lost; dnsperf says:\n{load.text}")
    check(statistics.get("completed", 0) >= RATE * took / 2, f"{statistics} in {took:.0f} s\n{load.text}")
    check(not re.search(r"SERVFAIL|REFUSED|FORMERR", load.text), f"rcodes:\n{load.text}")
    for sampler in samplers:
        check(sampler.n > 200, f"a sampler asked only {sampler.n} times")
        check_equal(sampler.seen, {0, 1}, "states seen")
    if not is_sanitized():
        check(grown < 6000, f"memory grew by {grown} kB over {RELOADS - 100} reloads")
    after = daemon.counters()
    check_equal((after["udp_send_errors"], after["servfail"]), (0, 0), "send errors, SERVFAIL")


def test_watch_under_load(case, _):
    """Version files that change while it is asked: the record never goes back, never is malformed."""
    site = case.site()
    for name, version in (("main", 62), ("daily", 1), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    site.pool_site([("m.example", "DE", ["192.0.2.1"])],
                   versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; }')
    daemon = case.daemon(site)
    lookups = case.stack.enter_context(Lookups(daemon.addr))
    last = [1]

    def ask_once():
        text = lookups.ask("current.cvd.clamav.test", "TXT").answer[0][0].strings[0].decode()
        match = re.fullmatch(r"1\.4\.3:62:(\d+):(\d+):0:90:49192:335", text)
        check(match and int(match[1]) >= last[0], f"{text} after {last[0]}")
        last[0] = int(match[1])
        return last[0]
    sampler = Sampler(ask_once)
    case.stack.enter_context(in_background(sampler))
    for version in range(2, 302):
        site.write("cvd/daily.cvd", cvd_file(version))
        time.sleep(0.002)
    end = time.monotonic() + DEADLINE_S
    while last[0] < 301 and time.monotonic() < end and sampler.is_alive():
        time.sleep(0.01)
    sampler.finish()
    check_equal(last[0], 301, "the last version announced")
    check_equal(len(os.listdir(site.file("cvd"))), 3, "files in the directory")
