"""Response rate limiting (docs/abuse.md): a flooded prefix stays under its rate, everybody else notices nothing."""
import re
import socket
import time

import dns.edns

from harness import (DEADLINE_S, DNSD, TCP, Lookups, Tcp, addresses, ask, check, check_equal, is_tc, make_query, open_socket,
                     parse_answer, rcode_of, run, wait_until)
from t36_options import COOKIE, ask_cookie
from t46_proxy import header

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
NAME = "db.de.clamav.test"
ZONE = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250
sub	NS	ns.sub
ns.sub	A	192.0.2.252
*.wild	A	192.0.2.253
"""


def make_site(case, limit, workers=1):
    site = case.site()
    site.pool_site(MIRRORS, zone_text=ZONE, server=f"rate-limit = {{ {limit} }};", workers=workers)
    return site


def rewrite(site, limit):
    with open(site.path) as file:
        text = file.read()
    text, n = re.subn(r"rate-limit = \{.*?\};", f"rate-limit = {{ {limit} }};", text)
    check_equal(n, 1, "rate-limit groups")
    site.write("dnsd.conf", text)


def ask_many(daemon, source, n, name=NAME, rdtype="A"):
    """(full, truncated) of n answers, one after the other; for slip = 1, where nothing is dropped."""
    full = 0
    with Lookups(daemon.addr, source) as lookups:
        for _ in range(n):
            answer = lookups.ask(name, rdtype)
            if is_tc(answer):
                check_equal((answer.answer, answer.authority), ([], []), "sections of a truncated answer")
            full += not is_tc(answer)
    return full, n - full


def drain(sock, request):
    """(full, truncated) of what has come."""
    full = truncated = 0
    sock.settimeout(0)
    while True:
        try:
            answer = parse_answer(request, sock.recv(65535), 512)
        except BlockingIOError:
            return full, truncated
        full += not is_tc(answer)
        truncated += is_tc(answer)


def flood(case, workers):
    """2,000 requests with sources of one prefix, and ten other clients meanwhile."""
    rate, window, rounds, spoofed, others = 20, 2, 100, 20, 10
    daemon = case.daemon(make_site(case, f'enabled = true; positive = {rate}; window = "{window}s"; slip = 2;', workers))
    before = daemon.counters()
    request = make_query(NAME, "A").to_wire()
    socks = [open_socket(daemon.addr, socket.SOCK_DGRAM, f"127.66.6.{i + 1}") for i in range(spoofed)]
    clients = [Lookups(daemon.addr, f"127.{i + 100}.1.1") for i in range(others)]
    for sock in socks + [client.sock for client in clients]:
        case.stack.callback(sock.close)
    full = truncated = asked = 0
    began = time.monotonic()
    for number in range(rounds):
        for sock in socks:
            sock.send(request)
        if number % 10 == 0:
            for client in clients:
                answer = client.ask(NAME)
                check(not is_tc(answer) and len(addresses(answer)) == 4, "another client's answer")
                asked += 1
        time.sleep(0.01)
    sent = rounds * spoofed
    wait_until(lambda: daemon.counters()["queries_udp"] - before["queries_udp"] == sent + asked, "all requests are read")
    elapsed = time.monotonic() - began

    def received():
        nonlocal full, truncated
        for sock in socks:
            more = drain(sock, request)
            full += more[0]
            truncated += more[1]
        counters = daemon.counters()
        return full + truncated + counters["rrl_dropped"] == sent and counters
    counters = wait_until(received, "every answer that was not dropped arrives")
    # The bucket of each worker may be filled to the brim, and a clock tick is 10 ms at worst.
    most = rate * (elapsed + window + 0.01) + workers
    print(f"     {workers} workers: {sent} requests in {elapsed:.2f} s: {full} answers, {truncated} truncated, "
          f"{counters['rrl_dropped']} dropped; at most {most:.0f} allowed; {asked} of other clients, all answered")
    check(full <= most, f"{full} answers to the victim, at most {most:.1f} allowed")
    check(full >= rate * window / 2, f"only {full} answers: a burst within the window is allowed")
    check_equal(counters["rrl_slipped"], truncated, "rrl_slipped")
    check_equal(counters["rrl_positive"], sent - full, "rrl_positive")
    check(0 <= truncated - counters["rrl_dropped"] <= workers, "every second one over the rate is truncated")


def test_flood(case, _):
    """The must-show of the issue, one worker."""
    flood(case, 1)


def test_flood_workers(case, _):
    """Four workers share the rate, however the kernel spreads the sources over them."""
    flood(case, 4)


def test_over_tcp(case, _):
    """Who is truncated is answered over TCP, as often as it likes."""
    daemon = case.daemon(make_site(case, 'enabled = true; positive = 1; window = "1s"; slip = 1; error = 1; all = 5;'))
    began = time.monotonic()
    full, truncated = ask_many(daemon, "127.66.6.6", 50)
    most = time.monotonic() - began + 1.01 + 1
    check(full <= most and truncated > 0, f"{full} answers, at most {most:.1f} allowed, {truncated} truncated")
    request = make_query(NAME, "A").to_wire()
    with Tcp(daemon.addr, "127.66.6.6") as tcp:
        for _ in range(100):
            tcp.send(request)
            check_equal(len(addresses(parse_answer(request, tcp.receive()))), 4, "addresses over TCP")


def test_cookie(case, _):
    """Who has shown its address by a valid cookie (RFC 7873) is not limited; a forged one, or the client's half alone, is worth nothing."""
    daemon = case.daemon(make_site(case, 'enabled = true; positive = 1; all = 1; error = 1; window = "1s"; slip = 1;'))
    source = "127.66.6.6"

    def ask_hundred(cookie):
        query = make_query(NAME, "A", edns=1232)
        query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(COOKIE, cookie)])
        request = query.to_wire()
        began = time.monotonic()
        with open_socket(daemon.addr, socket.SOCK_DGRAM, source) as sock:
            answers = []
            for _ in range(100):
                sock.send(request)
                answers.append(parse_answer(request, sock.recv(65535), 1232))
        check_equal({len(addresses(answer)) for answer in answers if not is_tc(answer)} - {4}, set(), "addresses in whole answers")
        return sum(not is_tc(answer) for answer in answers), 1 * (time.monotonic() - began + 1.01) + 1
    valid = ask_cookie(daemon, source=source, name="ns1.clamav.test")[2]
    before = daemon.counters()
    check_equal(ask_hundred(valid)[0], 100, "whole answers with a valid cookie")
    daemon.check_moved(before, {"queries_udp": 100, "noerror": 100, "edns": 100, "cookie_valid": 100, "pool": 100}, "a valid cookie")
    for what, cookie in (("forged", valid[:-1] + bytes([valid[-1] ^ 1])), ("of another client", bytes(8) + valid[8:]),
                         ("the client's alone", valid[:8])):
        full, most = ask_hundred(cookie)
        check(full <= most, f"a cookie that is {what}: {full} whole answers, at most {most:.1f} allowed")
    check_equal(ask_hundred(valid)[0], 100, "whole answers with a valid cookie, where the others are over the rate")


def test_kinds(case, _):
    """Each kind by its own rate: invented names share one, owners of records do not."""
    limit = ('enabled = true; window = "60s"; slip = 1; positive = 1; nodata = 1; nxdomain = 1; referral = 1; error = 1; '
             'all = 0; table-size = 1024;')
    daemon = case.daemon(make_site(case, limit))
    kinds = {  # kind: questions that share a bucket
        "nodata": [("www", "MX"), ("www", "TXT"), ("www", "TYPE999")],
        "nxdomain": [("a", "A"), ("b", "TXT"), ("c.www", "AAAA")],
        "referral": [("sub", "A"), ("x.sub", "A"), ("y.sub", "TXT")],
        "positive": [("a.wild", "A"), ("b.wild", "A"), ("c.wild", "A")],
    }
    for kind, questions in kinds.items():
        before = daemon.counters()
        with Lookups(daemon.addr, "127.66.6.6") as lookups:
            answers = [lookups.ask(f"{name}.clamav.test", rdtype) for _ in range(50) for name, rdtype in questions]
        full = sum(not is_tc(answer) for answer in answers)
        check(60 <= full <= 60 + DEADLINE_S, f"{kind}: {full} of 150 not limited")
        check(all(rcode_of(answer) == "NOERROR" for answer in answers if is_tc(answer)), f"{kind}: RCODE of truncated answers")
        slipped = 150 - full
        expected = {"queries_udp": 150, "rrl_slipped": slipped, f"rrl_{kind}": slipped, "truncated": slipped,
                    "nxdomain" if kind == "nxdomain" else "noerror": 150}
        daemon.check_moved(before, expected, kind)
    # Another owner, another type: not limited.
    check_equal(ask_many(daemon, "127.66.6.6", 20, "ns1.clamav.test"), (20, 0), "another owner")
    # Errors slip as they are.
    before = daemon.counters()
    with Lookups(daemon.addr, "127.66.6.6") as lookups:
        answers = [lookups.ask(name) for _ in range(50) for name in ("a.test", "b.test", "c.test")]
    check(all(rcode_of(answer) == "REFUSED" and not is_tc(answer) for answer in answers), "errors")
    limited = daemon.counters()["rrl_error"] - before["rrl_error"]
    check(90 - DEADLINE_S <= limited <= 90, f"{limited} errors over the rate")


def test_all(case, _):
    """Names to go through do not help: their answers have a rate together."""
    daemon = case.daemon(make_site(case, 'enabled = true; window = "1s"; slip = 1; all = 10;'))
    began = time.monotonic()
    full = 0
    with Lookups(daemon.addr, "127.66.6.6") as lookups:
        for number in range(300):
            full += not is_tc(lookups.ask(f"db.{'de fr us gb jp'.split()[number % 5]}.clamav.test", ("A", "TXT")[number % 2]))
    most = 10 * (time.monotonic() - began + 1.01) + 1
    check(10 <= full <= most, f"{full} answers, 10 to {most:.0f} allowed")
    check_equal(daemon.counters()["rrl_all"], 300 - full, "rrl_all")
    check_equal(ask_many(daemon, "127.66.7.6", 5), (5, 0), "another prefix")


def test_log_only(case, _):
    """Counted, and sent all the same."""
    daemon = case.daemon(make_site(case, 'enabled = true; log-only = true; positive = 1; window = "1s"; slip = 1;'))
    check_equal(ask_many(daemon, "127.66.6.6", 200), (200, 0), "answers")
    counters = daemon.counters()
    check(150 <= counters["rrl_would_drop"] < 200, f"rrl_would_drop {counters['rrl_would_drop']}")
    check_equal((counters["rrl_slipped"], counters["rrl_dropped"]), (0, 0), "slipped and dropped")
    check_equal(counters["rrl_positive"], counters["rrl_would_drop"], "rrl_positive")


def test_off(case, _):
    """Nobody is limited who has not asked for it."""
    for limit in ("", "positive = 1; log-only = true;"):
        daemon = case.daemon(make_site(case, limit))
        check_equal(ask_many(daemon, "127.66.6.6", 2000), (2000, 0), "answers")
        told = {name: value for name, value in daemon.counters().items() if name.startswith("rrl_") and value}
        check_equal(told, {}, "counters")


def test_reload(case, _):
    """A reload changes what is allowed and forgets nobody; another table begins anew."""
    limit = 'enabled = true; positive = 1; window = "60s"; slip = 1; '
    site = make_site(case, limit)
    daemon = case.daemon(site)
    for source in ("127.66.6.6", "127.77.7.7"):
        full, truncated = ask_many(daemon, source, 200)
        check(60 <= full <= 60 + DEADLINE_S and truncated, f"{source}: {full} answers of 200")

    rewrite(site, limit + 'exempt = [ "127.77.7.0/25" ];')
    daemon.reload()
    wait_until(lambda: ask_many(daemon, "127.77.7.7", 30) == (30, 0), "the exempt network is not limited")
    full, truncated = ask_many(daemon, "127.66.6.6", 30)
    check(truncated >= 20, f"{full} answers after the reload: what was known is forgotten")
    check(ask_many(daemon, "127.77.7.200", 30)[1] >= 20, "the other half of the exempt network's prefix")

    rewrite(site, limit + "table-size = 2048;")
    daemon.reload()
    wait_until(lambda: ask_many(daemon, "127.66.6.6", 30) == (30, 0), "another table begins anew")
    check(ask_many(daemon, "127.66.6.6", 60)[1] >= 20, "and limits")

    rewrite(site, "enabled = false;")
    daemon.reload()
    wait_until(lambda: ask_many(daemon, "127.66.6.6", 100) == (100, 0), "nobody is limited any more")


def test_prefixes(case, _):
    """Lengths of prefixes as configured."""
    daemon = case.daemon(make_site(case, 'enabled = true; positive = 1; window = "60s"; slip = 1; ipv4-prefix = 16;'))
    ask_many(daemon, "127.66.6.6", 100)
    check(ask_many(daemon, "127.66.200.1", 30)[1] >= 20, "the same /16")
    check_equal(ask_many(daemon, "127.67.6.6", 30), (30, 0), "another /16")


def test_mistakes(case, _):
    """Wrong settings are told with their place."""
    for limit, words in (("slip = 11;", "slip is 11, but must be 0 to 10"),
                         ("ipv4-prefix = 33;", "ipv4-prefix is 33, but must be 1 to 32"),
                         ("window = 0;", "window is 0s, but must be 1s to 1m"),
                         ('exempt = "10.0.0.1/8";', 'exempt: "10.0.0.1/8" is no network'),
                         ("slipp = 1;", 'unknown setting "slipp" in this rate-limit group; did you mean "slip"?'),
                         ("exempt = [ " + ", ".join(f'"10.0.{i}.0/24"' for i in range(200)) + ", " +
                          ", ".join(f'"10.1.{i}.0/24"' for i in range(57)) + " ];", "exempt has 257 networks, the limit is 256")):
        status, text = run([DNSD, "-t", "-c", make_site(case, limit).path])
        check_equal(status, 1, f"status with {limit[:30]}: {text}")
        check(words in text, f"no word of {words!r}:\n{text}")


def test_front_end(case, _):
    """Behind a front end it is the client of the header that has a rate, not the front end."""
    site = case.site()
    limit = 'rate-limit = { enabled = true; positive = 1; window = "60s"; slip = 1; };'
    site.pool_site(MIRRORS, zone_text=ZONE, server=f'proxy-allow = "127.99.0.1"; {limit}', workers=1)
    daemon = case.daemon(site)
    request = make_query(NAME, "A").to_wire()
    full = {}
    with open_socket(daemon.addr, socket.SOCK_DGRAM, "127.99.0.1") as sock:
        for _ in range(100):
            for client in ("192.0.2.1", "192.0.2.200", "198.51.100.1"):
                sock.send(header(client) + request)
                answer = parse_answer(request, sock.recv(65535))
                full[client] = full.get(client, 0) + (not is_tc(answer))
    check(60 <= full["192.0.2.1"] + full["192.0.2.200"] <= 60 + DEADLINE_S, f"two clients of one prefix: {full}")
    check(60 <= full["198.51.100.1"] <= 60 + DEADLINE_S, f"the client of another one: {full}")


def test_one_answer(case, _):
    """One question is never limited, whatever the rates, and TCP asks no table."""
    daemon = case.daemon(make_site(case, 'enabled = true; positive = 1; all = 1; error = 1; window = "1s";', workers=8))
    for number in range(1, 20):
        check_equal(len(addresses(ask(daemon, NAME, source=f"127.0.{number}.1"))), 4, "addresses")
        check_equal(len(addresses(ask(daemon, NAME, source=f"127.0.{number}.1", transport=TCP))), 4, "addresses over TCP")
