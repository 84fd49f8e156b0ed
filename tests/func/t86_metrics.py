"""Metrics over HTTP: the text, what its numbers follow, and clients that mean no good."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time

import t91_takeover
from harness import (DNSD, TCP, TOP, Lookups, Tcp, addresses, amount, ask, check, check_equal, cvd_file, free_port, make_query, need_ipv6, run,
                     wait_until)

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m2.de.example", "DE", ["192.0.2.2"]),
           ("m1.fr.example", "FR", ["198.51.100.1", "2001:db8::1"])]
LISTEN = 'metrics: { listen = [ "127.0.0.1@0" ]; };\n'
CONNECTIONS_MAX = 16

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')


# --- the text format, strictly ---

def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        check(match, f"labels: {text}")
        check(match[1] not in labels, f"label twice: {text}")
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        at = match.end()
        if at < len(text):
            check(text[at] == "," and at + 1 < len(text), f"labels: {text}")
            at += 1
    return frozenset(labels.items())


def parse_metrics(text):
    """({(name, labels): value}, {name: type}) of a text in which everything is as the format has it."""
    check(text.endswith("\n"), "the text does not end with a newline")
    samples, types, helps, family = {}, {}, set(), None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family, _, words = line[7:].partition(" ")
            check(NAME.fullmatch(family) and words, f"bad line: {line}")
            check(family not in helps, f"HELP twice: {line}")
            helps.add(family)
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            check_equal(name, family, "TYPE behind HELP")
            check(kind in ("counter", "gauge") and name not in types, f"bad line: {line}")
            check_equal(name.endswith("_total"), kind == "counter", f"_total of {name}, a {kind}")
            types[name] = kind
        else:
            match = re.fullmatch(r"([a-zA-Z0-9_:]+)(?:\{(.*)\})? (-?\d+)([.e][\d.e+-]+)?", line)
            check(match, f"bad line: {line!r}")
            check_equal(match[1], family, "the family of a sample")
            check(match[1] in types, f"no TYPE before: {line}")
            key = (match[1], parse_labels(match[2] or ""))
            check(key not in samples, f"twice: {line}")
            samples[key] = float(match[3] + match[4]) if match[4] else int(match[3])
    return samples, types


def check_rules(program, samples, types):
    """The alerts we ship ask for nothing that the program does not say: each metric is there, and has the labels that are asked for."""
    with open(os.path.join(TOP, "contrib", "prometheus", f"{program}.rules.yml")) as file:
        text = file.read()
    names = re.findall(r"^ +- alert: (\w+)$", text, re.M)
    exprs = re.findall(r"^ +expr: (.+)$", text, re.M)
    check(len(names) > 10 and len(set(names)) == len(names), f"alerts: {names}")
    for key in r"expr: \S", r"labels: \{ severity: (?:critical|warning|info) \}", r'summary: "[^"]+"':
        check_equal(len(re.findall(rf"^ +{key}", text, re.M)), len(names), f"lines with {key}")
    used = {name for expr in exprs for name in re.findall(rf"\b{program}_\w+", expr)}
    check(len(used) > 8, f"metrics of the alerts: {used}")
    check_equal(sorted(used - set(types)), [], "metrics that are not there")
    labels = {}
    for name, pairs in samples:
        labels.setdefault(name, set()).update(dict(pairs))
    for name, asked in [pair for expr in exprs for pair in re.findall(r"(\w+)\{([^}]*)\}", expr)]:
        keys = re.findall(r'(\w+)(?:!?[=~]|!~)"', asked)
        check(keys and (name == "up" or labels.get(name, set()).issuperset(keys)), f"{name} has no labels {keys}: {labels.get(name)}")


class Metrics:
    """One scrape."""

    def __init__(self, addr):
        status, headers, text = get(addr)
        check_equal((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "answer")
        self.samples, self.types = parse_metrics(text)

    def __call__(self, name, /, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def all(self, name):
        return {labels: value for (found, labels), value in self.samples.items() if found == name}

    def total(self, name):
        return sum(self.all(name).values())


def get(addr, path="/metrics", method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection(*addr, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def metrics_addr(daemon, mark=0):
    match = daemon.log.wait(r"metrics on (\S+)@(\d+)$", mark)
    return match[1], int(match[2])


def add_metrics(site, text=LISTEN):
    with open(site.path) as file:
        conf = file.read()
    site.write("dnsd.conf", re.sub(r"metrics: .*\n", "", conf) + text)


def start(case, mirrors=MIRRORS, metrics=LISTEN, **keywords):
    site = case.site()
    site.pool_site(mirrors, **keywords)
    add_metrics(site, metrics)
    daemon = case.daemon(site)
    daemon.site = site
    if metrics:
        daemon.metrics = metrics_addr(daemon)
    return daemon


def moved(daemon, before, expected):
    """Wait until exactly these samples of the counters have moved; a worker may tell a moment later."""
    def difference():
        now = Metrics(daemon.metrics)
        return {(name, tuple(sorted(labels))): value - before.samples.get((name, labels), 0)
                for (name, labels), value in now.samples.items()
                if now.types[name] == "counter" and name not in ("dnsd_time_up_seconds_total", "dnsd_queries_total")
                and value != before.samples.get((name, labels), 0)}
    want = {(name, tuple(sorted(labels.items()))): value for name, labels, value in expected}
    wait_until(lambda: difference() == want, f"counters moved by {want}, not {difference()}")


# --- what it says ---

def test_names(case, _):
    """All families are there from the start, also those at 0, with the right types."""
    daemon = start(case, workers=2)
    first = Metrics(daemon.metrics)
    check_equal(first.total("dnsd_queries_total"), 0, "queries")
    check_equal({dict(labels)["worker"] for labels in first.all("dnsd_queries_total")}, {"0", "1"}, "workers")
    check_equal({dict(labels)["rcode"] for labels in first.all("dnsd_queries_by_rcode_total")},
                {"NOERROR", "NXDOMAIN", "FORMERR", "NOTIMP", "REFUSED", "SERVFAIL", "BADVERS", "BADCOOKIE"}, "rcodes")
    for name in ("dnsd_queries_with_edns_total", "dnsd_queries_with_ecs_total", "dnsd_answers_truncated_total",
                 "dnsd_queries_dropped_total", "dnsd_pool_total", "dnsd_pool_geo_total", "dnsd_geo_unknown_total",
                 "dnsd_ping_ok_total", "dnsd_tcp_accepted_total", "dnsd_udp_send_errors_total"):
        check_equal((first(name), first.types[name]), (0, "counter"), name)
    check_equal((first("dnsd_tcp_open"), first.types["dnsd_tcp_open"]), (0, "gauge"), "dnsd_tcp_open")
    check_equal(len(first.all("dnsd_build_info")), 1, "dnsd_build_info")
    check_equal(first("dnsd_config_last_reload_successful"), 1, "reload")
    check(abs(first("dnsd_config_last_reload_success_timestamp_seconds") - time.time()) < 60, "time of the load")
    check(first("dnsd_geo_database_build_timestamp_seconds") > 10 ** 9, "time of the geo database")
    check(first("dnsd_state_source_age_seconds", source="config") < 60, "age of the configuration")
    check("dnsd_formerr_total" not in first.types, "what has a label is not there once more without")
    check_rules("dnsd", first.samples, first.types)
    # SIGUSR1 and the text know the same counters.
    for name in daemon.counters():
        check(any(name in family for family in first.types)
              or name in ("noerror", "nxdomain", "formerr", "notimp", "refused", "servfail", "badvers", "badcookie",
                          "queries_udp", "queries_tcp", "queries_tls", "dropped_short", "dropped_response"), f"no family for {name}")


def test_counts(case, _):
    """Each query moves exactly its counters."""
    daemon = start(case)
    pool = ("dnsd_pool_total", {}, 1)
    noerror = ("dnsd_queries_by_rcode_total", {"rcode": "NOERROR"}, 1)
    udp = ("dnsd_queries_by_transport_total", {"transport": "udp"}, 1)

    before = Metrics(daemon.metrics)
    ask(daemon, "nothing.clamav.test")
    moved(daemon, before, [udp, ("dnsd_queries_by_rcode_total", {"rcode": "NXDOMAIN"}, 1)])
    before = Metrics(daemon.metrics)
    ask(daemon, "www.clamav.test", edns=1232, transport=TCP)
    moved(daemon, before, [("dnsd_queries_by_transport_total", {"transport": "tcp"}, 1), noerror,
                           ("dnsd_queries_with_edns_total", {}, 1), ("dnsd_tcp_accepted_total", {}, 1)])
    before = Metrics(daemon.metrics)
    ask(daemon, "db.fr.clamav.test")
    moved(daemon, before, [udp, noerror, pool, ("dnsd_pool_answers_total", {"pool": "clamav", "mirror": "m1.fr.example"}, 1)])
    # By the client's subnet: loopback.mmdb says which country it is in.
    before = Metrics(daemon.metrics)
    answer = ask(daemon, "db.local.clamav.test", ecs="198.51.100.0/24")
    after = wait_until(lambda: (now := Metrics(daemon.metrics)).total("dnsd_answers_by_country_total") and now, "a country")
    (labels, value), = after.all("dnsd_answers_by_country_total").items()
    mirror = {address: host for host, _, all_of in MIRRORS for address in all_of}[addresses(answer)[0]]
    extra = [] if dict(labels)["country"] != "--" else [("dnsd_geo_unknown_total", {}, 1)]
    check_equal(value, 1, "answers by country")
    moved(daemon, before, [udp, noerror, pool, ("dnsd_pool_geo_total", {}, 1), ("dnsd_queries_with_ecs_total", {}, 1),
                           ("dnsd_queries_with_edns_total", {}, 1), ("dnsd_answers_by_country_total", dict(labels), 1),
                           ("dnsd_pool_answers_total", {"pool": "clamav", "mirror": mirror}, 1)] + extra)
    before = Metrics(daemon.metrics)
    ask(daemon, "daily.25378.93.1.0.C0000201.ping.clamav.test")
    report = {"pool": "clamav", "mirror": "m1.de.example", "result": "ok"}
    moved(daemon, before, [udp, noerror, ("dnsd_ping_ok_total", {}, 1), ("dnsd_pings_total", report, 1)])


def test_mirrors(case, _):
    """Who stood first in the answers, mirror by mirror, also over a reload that adds and drops some."""
    daemon = start(case, workers=2)
    host_of = {address: host for host, _, all_of in MIRRORS for address in all_of}
    want = {host: 0 for host, *_ in MIRRORS}

    def counted():
        found = Metrics(daemon.metrics).all("dnsd_pool_answers_total")
        return {dict(labels)["mirror"]: value for labels, value in found.items()}

    def ask_many():
        with Lookups(daemon.addr) as lookups:
            for i in range(60):
                want[host_of[addresses(lookups.ask("database.clamav.test", "AAAA" if i % 7 == 0 else "A"))[0]]] += 1
        wait_until(lambda: counted() == want, f"first places {want}, not {counted()}")

    ask_many()
    check(all(want.values()), f"one of the mirrors was never first: {want}")
    with open(daemon.site.file("mirrors.conf")) as file:
        text = file.read()
    new = ("m0.at.example", "AT", ["203.0.113.9"])
    host_of["203.0.113.9"], want["m0.at.example"] = new[0], 0
    text = text.replace("mirrors = (\n", f'mirrors = (\n{{ host = "{new[0]}"; country = "AT"; addresses = [ "{new[2][0]}" ]; }},\n')
    text = re.sub(r'\t\{ host = "m1.de.example".*\n', "", text)
    daemon.site.write("mirrors.conf", text)
    daemon.reload()
    before = want["m1.de.example"]
    ask_many()
    check(want["m0.at.example"] > 0 and want["m1.de.example"] == before, f"after the change: {want}")


def feed(serial, excluded=(), **more):
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial, "excluded": list(excluded)} | more)


def test_feed(case, _):
    """States of mirrors and of the feed follow the feed file."""
    site = case.site()
    made = int(time.time()) - 100
    site.write("feed.json", feed(5, generated=made))
    site.pool_site(MIRRORS, pool={"feed": '"feed.json"', "max_removal": 50})
    add_metrics(site)
    daemon = case.daemon(site)
    daemon.metrics = metrics_addr(daemon)

    def states():
        now = Metrics(daemon.metrics)
        found = [dict(labels) for labels, value in now.all("dnsd_mirror_state").items() if value == 1]
        counts = {dict(labels)["state"]: value for labels, value in now.all("dnsd_pool_mirrors").items()}
        check_equal(sum(counts.values()), len(MIRRORS), "mirrors in all states")
        for state, n in counts.items():
            check_equal(sum(one["state"] == state for one in found), n, f"mirrors that are {state}")
        return {one["mirror"]: one["state"] for one in found}

    check_equal(states(), {host: "in" for host, *_ in MIRRORS}, "states at the start")
    now = Metrics(daemon.metrics)
    check_equal([now(f"dnsd_feed_{name}", pool="clamav") for name in ("serial", "generated_timestamp_seconds", "held")],
                [5, made, 0], "the feed")
    check(100 <= now("dnsd_state_source_age_seconds", source="feed:clamav") < 200, "age of the feed")
    generation = now("dnsd_snapshot_generation")
    site.write("feed.json", feed(6, [{"mirror": "m2.de.example", "reason": "out-of-sync"}]))
    want = {"m1.de.example": "in", "m2.de.example": "out-of-sync", "m1.fr.example": "in"}
    wait_until(lambda: states() == want, f"states {want}")
    now = Metrics(daemon.metrics)
    check_equal(now("dnsd_feed_serial", pool="clamav"), 6, "serial")
    check(now("dnsd_snapshot_generation") > generation, "generation")
    # One of two addresses out leaves a mirror in; a feed that takes out too much is held.
    site.write("feed.json", feed(7, [{"address": "198.51.100.1", "reason": "slow"}]))
    wait_until(lambda: Metrics(daemon.metrics)("dnsd_feed_serial", pool="clamav") == 7, "serial 7")
    check_equal(states(), {host: "in" for host, *_ in MIRRORS}, "states with one address out")
    site.write("feed.json", feed(8, [{"mirror": host, "reason": "old"} for host, *_ in MIRRORS]))
    wait_until(lambda: Metrics(daemon.metrics)("dnsd_feed_held", pool="clamav") == 1, "held")
    check_equal(Metrics(daemon.metrics)("dnsd_feed_serial", pool="clamav"), 7, "serial while one is held")


def test_versions(case, _):
    """Numbers and times of the version record follow its directory."""
    site = case.site()
    for name, number in (("main", 62), ("daily", 27500), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(number))
    site.pool_site(MIRRORS, versions='{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; }')
    add_metrics(site)
    daemon = case.daemon(site)
    daemon.metrics = metrics_addr(daemon)
    record = {"zone": "clamav.test", "name": "current.cvd"}

    def number(database):
        return Metrics(daemon.metrics)("dnsd_version_number", database=database, **record)

    check_equal([number(name) for name in ("main", "daily", "bytecode")], [62, 27500, 335], "numbers")
    now = Metrics(daemon.metrics)
    check(abs(now("dnsd_version_verified_timestamp_seconds", **record) - time.time()) < 60, "time of verification")
    check(now("dnsd_state_source_age_seconds", source="version:current.cvd.clamav.test") < 60, "age")
    site.write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: number("daily") == 27501, "the new number")


def test_reload_state(case, _):
    """A refused reload is seen, and the next good one."""
    daemon = start(case)
    with open(daemon.site.path) as file:
        good = file.read()
    daemon.site.write("dnsd.conf", good + "nonsense = 1;\n")
    daemon.reload(fails=True)
    check_equal(Metrics(daemon.metrics)("dnsd_config_last_reload_successful"), 0, "after a refused reload")
    daemon.site.write("dnsd.conf", good)
    daemon.reload()
    check_equal(Metrics(daemon.metrics)("dnsd_config_last_reload_successful"), 1, "after a good one")


def test_scrapes_under_reloads(case, _):
    """Scrapes go on while jobs change what they show; each text is whole."""
    daemon = start(case)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        daemon.send_signal(signal.SIGHUP)
        check_equal(len(Metrics(daemon.metrics).all("dnsd_mirror_state")), len(MIRRORS), "mirrors")


# --- HTTP ---

def test_http(case, _):
    """HEAD, other paths, other methods, healthz."""
    daemon = start(case)
    check_equal(get(daemon.metrics, "/healthz")[::2], (200, "ok\n"), "healthz")
    status, headers, text = get(daemon.metrics, method="HEAD")
    check_equal((status, text), (200, ""), "HEAD")
    check(int(headers["Content-Length"]) > 1000, "length of what GET would bring")
    check_equal(get(daemon.metrics, "/metrics?name=x")[0], 200, "a query string")
    for path in ("/", "/metrics/", "/metricsx", "/..%2fmetrics", "/healthz/x"):
        check_equal(get(daemon.metrics, path)[0], 404, path)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _ = get(daemon.metrics, method=method, body="x" * 100000 if method == "POST" else None)
        check_equal((status, headers["Allow"]), (405, "GET, HEAD"), method)


def send_raw(addr, data):
    """All that comes back until the server closes."""
    with socket.create_connection(addr, timeout=20) as sock:
        got = b""
        try:
            sock.sendall(data)
            while more := sock.recv(65536):
                got += more
        except ConnectionError:
            pass
        return got


def test_bad_requests(case, _):
    """Garbage and endless headers end the connection; the next scrape is fine."""
    daemon = start(case)
    for data in (b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 50 + b"\r\n\r\n",
                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\n" + b"X-Long: " + b"b" * 1000000):
        got = send_raw(daemon.metrics, data)
        check(not got.startswith(b"HTTP/1.1 200"), f"{data[:30]!r} is answered with {got[:60]!r}")
    check_equal(Metrics(daemon.metrics)("dnsd_queries_by_transport_total", transport="udp"), 0, "the daemon still answers")


def slowest(daemon, seconds):
    """Longest time of a DNS answer and of a scrape, asked one after the other for so long."""
    dns = scrape = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        ask(daemon, "db.de.clamav.test")
        middle = time.monotonic()
        Metrics(daemon.metrics)
        dns = max(dns, middle - begin)
        scrape = max(scrape, time.monotonic() - middle)
    return dns, scrape


def test_slow_clients(case, _):
    """Half-open connections, half requests and readers that do not read keep nobody waiting."""
    many = [(f"m{i}.example", "DE", [f"192.0.{2 + i // 250}.{1 + i % 250}"]) for i in range(8000)]
    daemon = start(case, mirrors=many, workers=1)
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    clients = []
    try:
        for i in range(40):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(20)
            sock.connect(daemon.metrics)
            if i % 3 == 1:
                sock.sendall(b"GET /metr")
            elif i % 3 == 2:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(sock)
        dns, scrape = slowest(daemon, 2)
        # The slow ones are sent away after ten seconds: so long nobody waits.
        check(dns < amount(8, 2, 8) and scrape < amount(8, 5, 8), f"slowest DNS answer {dns:.2f} s, slowest scrape {scrape:.2f} s")
        wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors + CONNECTIONS_MAX + 1, "a bounded number of connections")
        # Waiting costs no processor time.
        def cpu_s():
            with open(f"/proc/{daemon.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before = cpu_s()
        time.sleep(1)
        check(cpu_s() - before < 0.3, f"{cpu_s() - before:.2f} s of processor time in a second of waiting")
        # All of them are gone after the idle time.
        wait_until(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors, "slow clients closed", 40)
    finally:
        for sock in clients:
            sock.close()


def test_many_at_once(case, _):
    """More scrapes at once than connections: those that are displaced are closed, the daemon is fine."""
    daemon = start(case)
    results = []

    def scrape():
        try:
            results.append(get(daemon.metrics)[0])
        except (OSError, http.client.HTTPException) as problem:
            results.append(problem)

    threads = [threading.Thread(target=scrape) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    check_equal(len(results), 60, "threads that have ended")
    check(results.count(200) >= CONNECTIONS_MAX, f"scrapes that worked: {results.count(200)}")
    Metrics(daemon.metrics)


def test_time_up(case, _):
    """The time of the server goes on over a restart without a gap, and is counted once: not by the old process as well, as long
    as that has connections."""
    t91_takeover.setup(case)
    site = t91_takeover.make_site(case, drain_s=60)
    line = t91_takeover.Line(case, site)
    metrics = metrics_addr(line)
    with Tcp(line.addr) as tcp:  # keeps the old process
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        before = Metrics(metrics)("dnsd_time_up_seconds_total")
        line.restart()
        begin = time.monotonic()
        first = Metrics(metrics)("dnsd_time_up_seconds_total")
        check(first >= before, f"from {before} to {first}")
        wait_until(lambda: Metrics(metrics)("dnsd_time_up_seconds_total") >= first + 5, "five seconds more")
        check(time.monotonic() - begin > 3.9, f"five seconds in {time.monotonic() - begin:.1f} s")
    line.stop()


def test_stop(case, _):
    """While it stops, healthz says so; SIGTERM ends it with connections open."""
    daemon = start(case, server='stop-drain = "1m"; tcp-idle = "2m";')
    idle = socket.create_connection(daemon.metrics, timeout=20)
    # A TCP client that has not read its answers keeps the drain going.
    with Tcp(daemon.addr) as dns, idle:
        dns.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        dns.sock.setblocking(False)
        frames, rest = Tcp.frame(make_query("db.de.clamav.test", "A").to_wire()) * 1000, b""
        with contextlib.suppress(BlockingIOError):
            while True:
                rest = rest or frames
                rest = rest[dns.sock.send(rest):]
        Metrics(daemon.metrics)
        wait_until(lambda: Metrics(daemon.metrics)("dnsd_tcp_open") == 1, "the connection")
        daemon.send_signal(signal.SIGTERM)
        wait_until(lambda: get(daemon.metrics, "/healthz")[::2] == (503, "stopping\n"), "503 while stopping")
        dns.sock.close()
        daemon.stop()


# --- listeners ---

def refused(addr):
    try:
        get(addr)
    except ConnectionError:
        return True
    return False


def test_reload_moves(case, _):
    """A reload opens, keeps, moves and closes the listener."""
    daemon = start(case, metrics="")
    mark = daemon.log.mark()
    add_metrics(daemon.site, f'metrics: {{ listen = "127.0.0.1@{free_port()}"; }};\n')  # that nobody is given when it is free again
    daemon.reload()
    first = metrics_addr(daemon, mark)
    Metrics(first)
    lines = daemon.reload()
    check(not any("metrics" in line for line in lines), "a listener that stays is not opened again")
    Metrics(first)
    port, mark = free_port(), daemon.log.mark()
    add_metrics(daemon.site, f'metrics: {{ listen = "127.0.0.1@{port}"; }};\n')
    daemon.reload()
    daemon.log.wait(f"metrics no longer on 127.0.0.1@{first[1]}", mark)
    check_equal(metrics_addr(daemon, mark), ("127.0.0.1", port), "the new address")
    check(refused(first), "the old address is closed")
    Metrics(("127.0.0.1", port))
    add_metrics(daemon.site, "")
    daemon.reload()
    check(refused(("127.0.0.1", port)), "closed")


def test_ipv6(case, _):
    """Two addresses, both families."""
    need_ipv6()
    daemon = start(case, metrics='metrics: { listen = [ "127.0.0.1@0", "::1@0" ]; };\n')
    found = [re.search(r"metrics on (\S+)@(\d+)", line) for line in daemon.log.lines]
    addrs = [(match[1], int(match[2])) for match in found if match]
    check_equal([host for host, _ in addrs], ["127.0.0.1", "::1"], "addresses")
    for addr in addrs:
        Metrics(addr)


def test_taken_address(case, _):
    """Taken at the start: no start. Taken at a reload: an error, and all stays as it was."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        text = f'metrics: {{\n\tlisten = "127.0.0.1@{taken.getsockname()[1]}"; }};\n'
        site = case.site()
        site.pool_site(MIRRORS)
        add_metrics(site, text)
        status, log = run([DNSD, "-c", site.path])
        check_equal(status, 1, "exit status")
        message = rf"dnsd\.conf:\d+: cannot serve metrics on 127\.0\.0\.1@{taken.getsockname()[1]}: Address already in use; "
        check(re.search(message, log), log)
        daemon = start(case)
        add_metrics(daemon.site, text.replace("listen = ", 'listen = [ "127.0.0.1@0", ').replace("; }", " ]; }"))
        lines = daemon.reload(fails=True)
        check(any(re.search(message, line) for line in lines), "\n".join(lines))
        check_equal(Metrics(daemon.metrics)("dnsd_config_last_reload_successful"), 0, "reload")
    daemon.reload()
    Metrics(metrics_addr(daemon))


def test_wrong_configuration(case, _):
    """Mistakes are told with their place."""
    site = case.site()
    site.pool_site(MIRRORS)
    for text, message in (('metrics: { listen = "nowhere@9153"; };\n', 'listen: "nowhere@9153" is no address with an optional @ and port'),
                          ('metrics: { port = 9153; };\n', 'unknown setting "port" in this metrics group'),
                          ('metrics: { listen = [ "127.0.0.1", "127.0.0.1@9153" ]; };\n', "is given twice")):
        add_metrics(site, text)
        status, output = run([DNSD, "-t", "-c", site.path])
        check(status == 1 and message in output, f"{text}: {output}")
