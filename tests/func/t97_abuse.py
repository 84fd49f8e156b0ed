"""What an answer is worth to somebody who forges its source: bytes in, bytes out, for every kind of answer of the shipped
example. docs/abuse.md lists the same figures, and this test compares them.
"""
import os
import re
import socket
import struct

import dns.message
import dns.rdataclass

from harness import (TOP, Site, ask, check, check_equal, check_rcode, exchange_udp, make_query, need_program, open_socket,
                     parse_answer, rcode_of, records, run, wait_until)
from t05_example import example

# The most a kind may bring; where it brings more, an attacker has found a new tool, and docs/abuse.md another figure.
CEILINGS = {
    "version record, TXT": 2.3,
    "country, A": 4.3,
    "country, AAAA": 6.6,
    "country, IPv6 only, AAAA": 6.0,
    "nearest, A, with client subnet": 3.6,
    "world, AAAA": 6.3,
    "all of a country, A, 512": 1.0,
    "all of a country, A": 12.5,
    "zone, NS with glue": 6.4,
    "zone, ANY": 1.6,
    "ANY outside any-allow": 1.7,
    "CNAME to a name with MX": 2.5,
    "DNAME": 2.8,
    "NODATA": 2.5,
    "NXDOMAIN": 2.4,
    "usage report": 2.0,
    "referral": 3.3,
    "CHAOS, id.server": 2.0,
    "CHAOS, pool.dnsd": 2.9,
    "CHAOS outside chaos-allow": 2.4,
    "whoami": 3.6,
    "whoami, refused": 2.1,
    "REFUSED, no zone of ours": 1.0,
    "REFUSED, zone transfer": 1.0,
    "NOTIMP, opcode": 1.0,
    "FORMERR": 1.0,
    "BADVERS": 1.0,
    "SERVFAIL, version nobody verified": 2.1,
    "YXDOMAIN, DNAME makes too long a name": 1.2,
    "BADCOOKIE": 1.5,
    "cookie alone, no question": 1.7,
    "country, A, with NSID, cookie, ZONEVERSION": 4.0,
    "country, A, with NSID and ZONEVERSION, id of 200 characters": 8.0,
    "all of a country, A, with NSID, id of 200 characters": 15.5,
    "REFUSED, with NSID, id of 200 characters": 6.2,
    "CHAOS, id.server, id of 200 characters": 7.3,
}
# A text beside an RCODE is made for people, and may grow by this much without new figures.
ERROR_TEXT_MAX = 48


LONG_ID = "n" * 200  # the longest that a configuration may have


def setup(case):
    """The example, one with the lists closed, and one with a long id that wants cookies and has no version to tell."""
    daemons = []
    for node, server, allow in (("ns1.clamav.net", "", "127.0.0.0/8"),
                                ("ns1.clamav.net", 'chaos-allow = "192.0.2.1"; any-allow = "192.0.2.1";', "192.0.2.1"),
                                (LONG_ID, 'cookies = "require";', "127.0.0.0/8")):
        site = example(case)
        with open(site.path) as file:
            text = file.read()
        text = text.replace("server: {", f'server: {{ id = "{node}"; {server}', 1)
        if node == LONG_ID:
            text, numbers_n = re.subn(r"(?m)^\s*(main|daily|bytecode|safebrowsing) = \d+;.*\n", "", text)
            text, feed_n = re.subn(r'software = "', 'feed = "clamav"; software = "', text)
            text, pool_n = re.subn(r'mirrors = "mirrors.conf";', 'mirrors = "mirrors.conf"; feed = "feed.json";', text)
            check_equal((numbers_n, feed_n, pool_n), (4, 1, 1), "lines of the version in the example")
        text = text.replace('file = "clamav.net.zone";', f'file = "clamav.net.zone"; whoami = {{ name = "whoami"; allow = "{allow}"; }};', 1)
        site.write("dnsd.conf", text)
        daemons.append(case.daemon(site))
    return daemons


def wire_of(name, rdtype, rdclass="IN", edns=1232, **keywords):
    query = make_query(name, rdtype, edns=edns, **keywords)
    query.question[0].rdclass = dns.rdataclass.from_text(rdclass)
    return query.to_wire()


def option(code, data=b""):
    return struct.pack(">HH", code, len(data)) + data


def with_options(wire, *options):
    """A request whose last record is an OPT without any."""
    data = b"".join(options)
    return wire[:-2] + struct.pack(">H", len(data)) + data


def questions():
    """{kind: (which daemon, request)}; a kind that begins with an RCODE has it"""
    nsid, cookie, version = option(3), option(10, bytes(range(8))), option(19)
    zone = "clamav.net"
    bad_version = bytearray(wire_of(zone, "SOA"))
    bad_version[-5] = 1  # the version of the OPT record
    broken = wire_of(zone, "SOA")[:-1]
    notify = bytearray(wire_of(zone, "SOA"))
    notify[2] = 4 << 3
    return {
        "version record, TXT": (0, wire_of("current.cvd." + zone, "TXT")),
        "country, A": (0, wire_of("db.us." + zone, "A")),
        "country, AAAA": (0, wire_of("db.us." + zone, "AAAA")),
        "country, IPv6 only, AAAA": (0, wire_of("db.us.ipv6." + zone, "AAAA")),
        "nearest, A, with client subnet": (0, wire_of("db.local." + zone, "A", ecs="192.0.2.0/24")),
        "world, AAAA": (0, wire_of("database." + zone, "AAAA")),
        "all of a country, A, 512": (0, wire_of("db.us.big." + zone, "A", edns=None)),
        "all of a country, A": (0, wire_of("db.us.big." + zone, "A")),
        "zone, NS with glue": (0, wire_of(zone, "NS")),
        "zone, ANY": (0, wire_of(zone, "ANY")),
        "ANY outside any-allow": (1, wire_of(zone, "ANY")),
        "CNAME to a name with MX": (0, wire_of("www." + zone, "MX")),
        "DNAME": (0, wire_of("a.old." + zone, "A")),
        "NODATA": (0, wire_of("ns1." + zone, "MX")),
        "NXDOMAIN": (0, wire_of("nothing." + zone, "A")),
        "usage report": (0, wire_of("daily.15023.64.1.0.C6336401.ping." + zone, "A")),
        "referral": (0, wire_of("x.mirrors." + zone, "A")),
        "CHAOS, id.server": (0, wire_of("id.server", "TXT", "CH")),
        "CHAOS, pool.dnsd": (0, wire_of("pool.dnsd", "TXT", "CH")),
        "CHAOS outside chaos-allow": (1, wire_of("id.server", "TXT", "CH")),
        "whoami": (0, wire_of("whoami." + zone, "TXT")),
        "whoami, refused": (1, wire_of("whoami." + zone, "TXT")),
        "REFUSED, no zone of ours": (0, wire_of("example.org", "A")),
        "REFUSED, zone transfer": (0, wire_of(zone, "AXFR")),
        "NOTIMP, opcode": (0, bytes(notify)),
        "FORMERR": (0, broken),
        "BADVERS": (0, bytes(bad_version)),
        "SERVFAIL, version nobody verified": (2, wire_of("current.cvd." + zone, "TXT")),
        "YXDOMAIN, DNAME makes too long a name": (0, wire_of(".".join(("a" * 63,) * 3 + ("a" * 46,)) + ".old." + zone, "A")),
        "BADCOOKIE": (2, with_options(wire_of(zone, "SOA"), cookie)),
        "cookie alone, no question": (0, with_options(struct.pack(">6H", 77, 0, 0, 0, 0, 1) + wire_of(zone, "SOA")[-11:], cookie)),
        "country, A, with NSID, cookie, ZONEVERSION": (0, with_options(wire_of("db.us." + zone, "A"), nsid, cookie, version)),
        "country, A, with NSID and ZONEVERSION, id of 200 characters": (2, with_options(wire_of("db.us." + zone, "A"), nsid, version)),
        "all of a country, A, with NSID, id of 200 characters": (2, with_options(wire_of("db.us.big." + zone, "A"), nsid)),
        "REFUSED, with NSID, id of 200 characters": (2, with_options(wire_of("example.org", "A"), nsid)),
        "CHAOS, id.server, id of 200 characters": (2, wire_of("id.server", "TXT", "CH")),
    }


RCODES = ("REFUSED", "NOTIMP", "FORMERR", "BADVERS", "SERVFAIL", "YXDOMAIN", "BADCOOKIE", "NXDOMAIN")


def measure(daemon, request, kind):
    answer = exchange_udp(daemon.addr, request)
    check(answer is not None, f"{kind}: no answer")
    word = kind.split(",")[0]
    refused = "refused" in kind or "CHAOS outside" in kind
    check_equal(rcode_of(dns.message.from_wire(answer)), word if word in RCODES else "REFUSED" if refused else "NOERROR", f"{kind}: RCODE")
    return len(answer)


def documented():
    """{kind: (request, answer)} of the table in docs/abuse.md"""
    with open(os.path.join(TOP, "docs", "abuse.md")) as file:
        text = file.read()
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \| (\d+) \| ([\d.]+) \|$", text, re.MULTILINE)
    for kind, request, answer, factor in rows:
        check_equal(f"{int(answer) / int(request):.1f}", factor, f"factor of {kind} in docs/abuse.md")
    return {kind: (int(request), int(answer)) for kind, request, answer, _ in rows}, text


def test_amplification(case, daemons):
    """Every kind under its ceiling, and as the document says."""
    table, _ = documented()
    asked = questions()
    check_equal(sorted(asked), sorted(CEILINGS), "kinds asked for")
    trouble = []
    for kind, (which, request) in asked.items():
        size = measure(daemons[which], request, kind)
        factor = size / len(request)
        print(f"     | {kind} | {len(request)} | {size} | {factor:.1f} |")
        if factor > CEILINGS[kind]:
            trouble.append(f"{kind}: {len(request)} bytes bring {size}, a factor of {factor:.2f}; ceiling {CEILINGS[kind]}")
        said = table.get(kind, (0, 0))
        slack = ERROR_TEXT_MAX if any(word in kind for word in ("REFUSED", "refused", "NOTIMP", "FORMERR", "BADVERS", "SERVFAIL")) else 0
        if said[0] != len(request) or not said[1] - 8 <= size <= said[1] + 8 + slack:
            trouble.append(f"{kind}: {len(request)} bytes bring {size}; docs/abuse.md says {said[0]} and {said[1]}")
    check_equal(sorted(set(table) - set(asked)), [], "kinds that only docs/abuse.md has")
    check(not trouble, "\n".join(trouble))


def names_of(site):
    """Every name of the example that answers something of its own."""
    with open(site.file("clamav.net.zone")) as file:
        text = file.read()
    names = {name.replace("*", "any") for name in re.findall(r"^([\w*@.-]+)\s", text, re.MULTILINE) if name != "$TTL"}
    with open(site.file("regions.conf")) as file:
        text = file.read()
    countries = {code.lower() for code in re.findall(r'"([A-Z]{2})"', text)}
    names |= {f"db.{code}{end}" for code in countries for end in ("", ".ipv6", ".big")}
    names |= {f"db.{region}" for region in re.findall(r'name = "(\w+)"', text)}
    names |= {"database", "db.local", "current.cvd", "main.cvd", "daily.cvd", "a.mirrors", "a.old", "nothing", "x.ping", "whoami"}
    return sorted("clamav.net" if name == "@" else f"{name}.clamav.net" for name in names if not name.startswith("$"))


def test_worst(case, daemons):
    """All names of the example, by every type: none brings more than the document's worst."""
    names = names_of(Site(os.path.dirname(daemons[0].conf_path)))
    check(len(names) > 300, f"only {len(names)} names")
    worst, asked = (0, ""), 0
    with open_socket(daemons[0].addr, socket.SOCK_DGRAM) as sock:
        for name in names:
            for rdtype in ("A", "AAAA", "NS", "SOA", "MX", "TXT", "CAA", "CNAME", "DNAME", "ANY"):
                request = wire_of(name, rdtype)
                sock.send(request)
                worst = max(worst, (len(sock.recv(65535)) / len(request), f"{name} {rdtype}"))
                asked += 1
    print(f"     worst of {asked} questions: {worst[1]}, a factor of {worst[0]:.1f}")
    _, text = documented()
    said = re.search(r"The most of all (?:questions|names) is ([\d.]+)", text)
    check(said, "docs/abuse.md does not say the worst factor")
    check_equal(f"{worst[0]:.1f}", said[1].rstrip("."), "the worst factor of docs/abuse.md")


def test_truncated(case, daemons):
    """An answer that slips is no larger than its request."""
    request = wire_of("db.us.big.clamav.net", "A", edns=None)
    check_equal(measure(daemons[0], request, "truncated"), len(request), "bytes of a truncated answer")


def ede_of(message):
    return [int.from_bytes(option.to_wire()[:2], "big") for option in message.options if option.otype == 15]


def ask_class(daemon, name, source):
    request = wire_of(name, "TXT", "CH")
    return parse_answer(request, exchange_udp(daemon.addr, request, source), 1232)


def test_lists(case, daemons):
    """chaos-allow and any-allow: by source, over UDP and TCP, changed by a reload; nothing said is everybody."""
    site = case.site().pool_site([("m1.de.example", "DE", ["192.0.2.1", "2001:db8::1"])],
                                 server='id = "here"; chaos-allow = "127.1.0.0/16"; any-allow = [ "127.2.0.0/16", "::1" ];')
    daemon = case.daemon(site)
    inside, outside = ask_class(daemon, "id.server", "127.1.2.3"), ask_class(daemon, "id.server", "127.2.0.1")
    check_equal((rcode_of(inside), rcode_of(outside), ede_of(outside)), ("NOERROR", "REFUSED", [18]), "class CH")
    for name in ("version.bind", "pool.dnsd", "nothing.at.all"):
        check_equal(rcode_of(ask_class(daemon, name, "127.2.0.1")), "REFUSED", name)
    for transport in ("udp", "tcp"):
        for name in ("www.clamav.test", "db.de.clamav.test", "clamav.test"):
            inside = ask(daemon, name, "ANY", source="127.2.0.1", transport=transport)
            check(inside.answer and records(inside.answer)[0][2] != "HINFO", f"ANY of {name} inside over {transport}")
            outside = ask(daemon, name, "ANY", source="127.1.0.1", transport=transport)
            check_rcode(outside, "NOERROR")
            check_equal(records(outside.answer), [(name + ".", 3600, "HINFO", '"RFC8482" ""')], f"ANY of {name} outside over {transport}")
        check_rcode(ask(daemon, "nothing.clamav.test", "ANY", source="127.1.0.1", transport=transport), "NXDOMAIN")
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "the last TCP connection is closed")
    before = daemon.counters()
    ask_class(daemon, "id.server", "127.2.0.1")
    daemon.check_moved(before, {"queries_udp": 1, "refused": 1, "edns": 1}, "class CH outside")

    with open(site.path) as file:
        text = file.read()
    site.write("dnsd.conf", re.sub(r"any-allow = \[.*?\];", "", text).replace("127.1.0.0/16", "127.2.0.0/16"))
    daemon.reload()
    wait_until(lambda: rcode_of(ask_class(daemon, "id.server", "127.2.0.1")) == "NOERROR", "the list of the reload")
    check_equal(rcode_of(ask_class(daemon, "id.server", "127.1.2.3")), "REFUSED", "who was inside before")
    check_equal(records(ask(daemon, "www.clamav.test", "ANY", source="127.1.0.1").answer)[0][2], "A", "ANY without a list")


def test_dig(case, daemons):
    """dig takes the HINFO for what it is."""
    dig = need_program("dig")
    host, port = daemons[1].addr
    status, text = run([dig, "-r", "+short", "+notcp", "-p", str(port), f"@{host}", "clamav.net", "ANY"])
    check_equal((status, text.strip()), (0, '"RFC8482" ""'), "dig")
