"""What a server tells of itself over DNS: CHAOS names, zone version, a serial that follows the pools, whoami; and the
check that compares a fleet by it."""
import json
import os
import re
import socket
import struct
import time

import dns.edns
import dns.message
import dns.rdataclass

from harness import (DNSD, TOP, Site, addresses, ask, check, check_equal, check_rcode, cvd_file, ecs_of, exchange_udp,
                     make_query, need_program, parse_answer, records, run, wait_until)

CHECK = os.path.join(TOP, "contrib", "nagios", "check_dnsd_fleet")
MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
VERSION = '{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; renew = "1h"; }'
WHOAMI = 'whoami = { name = "whoami"; allow = [ "127.1.0.0/16", "127.0.0.1" ]; };'


def feed(serial, *excluded):
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial,
                       "excluded": [{"mirror": mirror, "reason": "unreachable"} for mirror in excluded]})


def make_site(case, server='id = "node-1.example"; version-text = "something";', versions="", whoami=WHOAMI, **keywords):
    site = case.site()
    site.write("feed.json", feed(1))
    site.write("static.zone", "$TTL 1h\n@ SOA ns1 hostmaster 77 3h 30m 2w 5m\n@ NS ns1\nns1 A 192.0.2.251\n")
    site.pool_site(MIRRORS, versions=versions, pool={"feed": '"feed.json"', "max_removal": 100}, server=server, **keywords)
    with open(site.path) as file:
        text = file.read()
    text = text.replace('file = "clamav.zone";', f'file = "clamav.zone"; {whoami}')
    text = text.replace("zones = (", 'zones = ( { name = "static.test"; file = "static.zone"; },')
    site.write("dnsd.conf", text)
    return site


def setup(case):
    return case.daemon(make_site(case))


def site_of(daemon):
    """The folder of its configuration."""
    return Site(os.path.dirname(daemon.process.args[2]))


def chaos(daemon, name, rdtype="TXT"):
    """(RCODE, the string)"""
    query = dns.message.make_query(name + ".", rdtype, "CH", use_edns=False, flags=0)
    wire = query.to_wire()
    message = parse_answer(wire, exchange_udp(daemon.addr, wire), 512)
    strings = [rdata.strings for rrset in message.answer for rdata in rrset]
    for rrset in message.answer:
        check_equal((rrset.rdclass, rrset.ttl), (dns.rdataclass.CH, 0), "class and TTL of the answer")
    check_equal(message.authority, [], "authority section")
    return dns.rcode.to_text(message.rcode()), strings[0][0].decode() if strings else None


def soa_serial(daemon, name="clamav.test"):
    """The serial of the apex, which no later one may fall below."""
    apex = ask(daemon, name, "SOA").answer[0][0].serial
    negative = ask(daemon, f"no-such-name.{name}", "A").authority[0][0].serial
    check(negative >= apex, f"serial {apex} at the apex, then {negative} beside an NXDOMAIN")
    return apex


def zoneversion(daemon, name, payload=b""):
    query = make_query(name, "A", edns=1232)
    query.use_edns(0, 0, 1232, options=[dns.edns.GenericOption(19, payload)])
    wire = query.to_wire()
    message = parse_answer(wire, exchange_udp(daemon.addr, wire), 1232)
    found = [option.to_wire() if hasattr(option, "to_wire") else option.data for option in message.options
             if option.otype == 19]
    return dns.rcode.to_text(message.rcode()), found[0] if found else None


def ede_of(message):
    """(INFO-CODE, text), or None; by the bytes, whatever the library makes of them."""
    for option in message.options:
        if option.otype == 15:
            data = option.to_wire()
            return struct.unpack(">H", data[:2])[0], data[2:].decode()
    return None


def strings_of(message):
    return [s.decode() for rrset in message.answer for rdata in rrset for s in rdata.strings]


def test_chaos(case, daemon):
    """RFC 4892: who are you, and what."""
    for name in ("id.server", "hostname.bind", "ID.Server"):
        check_equal(chaos(daemon, name), ("NOERROR", "node-1.example"), name)
    for name in ("version.bind", "version.server"):
        check_equal(chaos(daemon, name), ("NOERROR", "something"), name)
    rcode, text = chaos(daemon, "pool.dnsd")
    match = re.fullmatch(r"generation=(\d+) serial=(\d+) mirrors=4/4", text or "")
    check(rcode == "NOERROR" and match, f"pool.dnsd: {rcode} {text}")
    check_equal(int(match[2]), soa_serial(daemon), "serial")
    check_equal(chaos(daemon, "id.server", "A"), ("NOERROR", None), "another type")
    for name in ("authors.bind", "server", "clamav.test"):
        check_equal(chaos(daemon, name), ("REFUSED", None), name)


def test_chaos_default(case, daemon):
    """Without settings: the host's name, and ours; with empty ones: nothing. dig agrees."""
    other = case.daemon(make_site(case, server=""))
    check_equal(chaos(other, "hostname.bind"), ("NOERROR", socket.gethostname()), "hostname.bind")
    version = run([DNSD, "--version"])[1].strip()
    check_equal(chaos(other, "version.bind"), ("NOERROR", version), "version.bind")
    dig = need_program("dig")
    status, text = run([dig, "-r", "+short", "-p", str(other.addr[1]), f"@{other.addr[0]}", "CH", "TXT", "version.bind"])
    check_equal((status, text.strip()), (0, f'"{version}"'), "dig")
    quiet = case.daemon(make_site(case, server='id = ""; version-text = "";'))
    for name in ("id.server", "hostname.bind", "version.bind", "version.server"):
        check_equal(chaos(quiet, name), ("REFUSED", None), name)
    check_equal(chaos(quiet, "pool.dnsd")[0], "NOERROR", "pool.dnsd")


def test_serial_follows(case, _):
    """The serial rises when a mirror goes or comes, and when the zone file changes; and only then."""
    daemon = case.daemon(make_site(case))
    wait_until(lambda: "generation=2 " in chaos(daemon, "pool.dnsd")[1], "the feed read at the start")
    first = soa_serial(daemon)
    check(abs(first - time.time()) < 60, f"serial {first} is not about now")
    for text in (feed(2), feed(3)):  # nothing new in them
        generation = chaos(daemon, "pool.dnsd")[1].split()[0]
        site_of(daemon).write("feed.json", text)
        wait_until(lambda: chaos(daemon, "pool.dnsd")[1].split()[0] != generation, "the next generation")
        check_equal(soa_serial(daemon), first, "serial after a feed that changes nothing")
    daemon.reload()
    check_equal(soa_serial(daemon), first, "serial after a reload of the same")

    last = first
    for number, out in ((4, ["m1.de.example"]), (5, []), (6, ["m2.de.example", "m3.de.example"])):
        site_of(daemon).write("feed.json", feed(number, *out))
        wait_until(lambda: f"mirrors={4 - len(out)}/4" in chaos(daemon, "pool.dnsd")[1], f"{len(out)} mirrors out")
        serial = soa_serial(daemon)
        check(last < serial <= time.time() + 10, f"serial {last}, then {serial}")
        check(f"serial={serial} " in chaos(daemon, "pool.dnsd")[1], "serial in pool.dnsd")
        last = serial
    check_equal(soa_serial(daemon, "static.test"), 77, "serial of a zone without pools")

    site_of(daemon).write("clamav.zone", open(site_of(daemon).file("clamav.zone")).read() + "new A 192.0.2.99\n")
    daemon.reload()
    check_equal(addresses(ask(daemon, "new.clamav.test")), ["192.0.2.99"], "the new record")
    serial = soa_serial(daemon)
    check(last < serial, f"serial {last}, then {serial}")


def test_serial_of_file(case, _):
    """A serial in the zone file above the time of day is not gone below, and counted up from."""
    high = 3000000000  # ahead of now by less than half the range: RFC 1982
    zone = f"$TTL 1h\n@ SOA ns1 hostmaster {high} 3h 30m 2w 5m\n@ NS ns1\nns1 A 192.0.2.251\n"
    daemon = case.daemon(make_site(case, zone_text=zone))
    check_equal(soa_serial(daemon), high, "serial at the start")
    site_of(daemon).write("feed.json", feed(2, "m1.de.example"))
    wait_until(lambda: "mirrors=3/4" in chaos(daemon, "pool.dnsd")[1], "a mirror out")
    check_equal(soa_serial(daemon), high + 1, "serial after a change")


def test_version_renewed(case, _):
    """A renewed version record is a change too."""
    site = make_site(case, versions=VERSION)
    for name, version in (("main", 62), ("daily", 27500), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    daemon = case.daemon(site)
    before = soa_serial(daemon)
    site.write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: ":27501:" in strings_of(ask(daemon, "current.cvd.clamav.test", "TXT"))[0], "daily 27501")
    check(soa_serial(daemon) > before, "the serial has risen")


def test_zoneversion(case, daemon):
    """RFC 9660: the version beside any answer from a zone of ours, when it is asked for."""
    serial = soa_serial(daemon)
    for name, labels, want in (("www.clamav.test", 2, serial), ("db.de.clamav.test", 2, serial), ("no.clamav.test", 2, serial),
                               ("ns1.static.test", 2, 77), ("no.static.test", 2, 77)):
        _, option = zoneversion(daemon, name)
        check_equal(option, struct.pack(">BBI", labels, 0, want), f"zone version of {name}")
    check_equal(zoneversion(daemon, "elsewhere.test"), ("REFUSED", None), "outside our zones")
    check_equal(zoneversion(daemon, "www.clamav.test", b"\0"), ("FORMERR", None), "a request that is not empty")
    check_equal([o.otype for o in ask(daemon, "www.clamav.test", edns=1232).options], [], "options when none is asked for")


def test_whoami(case, daemon):
    """Address, client subnet, country, network and node; not for strangers, whatever subnet they say."""
    def who(**keywords):
        answer = ask(daemon, "whoami.clamav.test", "TXT", **keywords)
        check_rcode(answer, "NOERROR")
        check_equal([ttl for _, ttl, _, _ in records(answer.answer)], [0], "TTL")
        return strings_of(answer), ecs_of(answer)
    text, ecs = who(source="127.1.2.3")
    generation = chaos(daemon, "pool.dnsd")[1].split()[0]
    check_equal(text, ["address=127.1.2.3", "country=US", "prefix=127.1.0.0/16", "node=node-1.example", generation], "strings")
    check_equal(ecs, None, "client subnet")
    text, ecs = who(source="127.1.2.3", ecs="192.0.2.200/32")
    check_equal(text[:4], ["address=127.1.2.3", "ecs=192.0.2.200/32", "country=DE", "prefix=192.0.2.128/25"], "with a subnet")
    check_equal(ecs, ("192.0.2.200", 32, 25), "client subnet")
    text, ecs = who(source="127.1.2.3", ecs="2001:db8:2::/48", transport="tcp")
    check_equal(text[1:4], ["ecs=2001:db8:2::/48", "country=DE", "prefix=2001:db8:2::/48"], "with an IPv6 subnet over TCP")
    for rdtype in ("A", "AAAA"):
        answer = ask(daemon, "whoami.clamav.test", rdtype)
        check_rcode(answer, "NOERROR")
        check_equal((answer.answer, len(answer.authority)), ([], 1), rdtype)
    for keywords in ({"edns": 1232}, {"ecs": "127.1.0.0/16"}):
        answer = ask(daemon, "whoami.clamav.test", "TXT", source="127.2.0.1", **keywords)
        check_rcode(answer, "REFUSED", aa=False)
        check_equal((answer.answer, ede_of(answer)[0]), ([], 18), f"a stranger with {keywords}")


def test_whoami_loopback(case, _):
    """Nothing said of who may: loopback, all of it. Nothing said at all: no such name."""
    daemon = case.daemon(make_site(case, whoami='whoami = { name = "who.ami"; };'))
    check("address=127.77.0.1" in strings_of(ask(daemon, "who.ami.clamav.test", "TXT", source="127.77.0.1")), "from 127.77.0.1")
    check_rcode(ask(daemon, "whoami.clamav.test", "TXT"), "NXDOMAIN")


def test_whoami_conflict(case, _):
    """A name that the zone file has too is refused at the start."""
    site = make_site(case, whoami='whoami = { name = "www"; };')
    site.write("clamav.zone", open(site.file("clamav.zone")).read() + 'www TXT "mine"\n')
    status, text = run([DNSD, "-c", site.path, "-t"])
    check_equal(status, 1, "status")
    check("whoami makes the TXT record of this name" in text, f"no word of it:\n{text}")


# --- the check ---

def run_check(*arguments):
    """(exit status, first line without perfdata, perfdata, all other lines)"""
    need_program("dig")
    status, text = run([CHECK, *arguments])
    first, *rest = text.splitlines()
    first, _, perfdata = first.partition(" |")
    return status, first, perfdata, rest


def server(daemon):
    return f"{daemon.addr[0]}@{daemon.addr[1]}"


def fleet_site(case, daily):
    site = make_site(case, versions=VERSION)
    for name, version in (("main", 62), ("daily", daily), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    return site


def test_fleet(case, _):
    """Two servers, one of which falls behind, then silent: it is named."""
    first, second = (case.daemon(fleet_site(case, 27500)) for _ in range(2))
    both = ["-z", "clamav.test", "-s", server(first), "-s", server(second), "-t", "10"]
    status, line, perfdata, lines = run_check(*both, "-w", "60", "-c", "120")
    check_equal((status, line.split(",")[0]), (0, "DNSD_FLEET OK - 2 servers of clamav.test"), "both fine")
    check(f"'{server(first)} age'=" in perfdata and f"'{server(second)} mirrors'=4;;;0;4" in perfdata, f"perfdata: {perfdata}")
    check(len(lines) == 2 and lines[0].startswith(f"{server(first)}: fine, serial "), f"details: {lines}")

    # Only the first goes on.
    began = soa_serial(second)
    wait_until(lambda: time.time() > began + 2, "some seconds for the lag")
    site_of(first).write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: soa_serial(first) > began, "a newer serial")
    status, line, *_ = run_check(*both, "-w", "60", "-c", "120")
    check_equal(status, 1, line)
    check(f"{server(second)} announces daily 27500, another one 27501" in line, line)
    check(server(first) not in line, f"the wrong one is named: {line}")
    status, line, *_ = run_check(*both, "-r", "", "-w", "0", "-c", "100")
    check_equal(status, 1, line)
    check(re.search(rf"WARNING - {re.escape(server(second))} serial {began} lags by \d+$", line), line)
    status, line, *_ = run_check(*both, "-r", "", "-w", "0", "-c", "0")
    check_equal((status, line.split(" - ")[0]), (2, "DNSD_FLEET CRITICAL"), "critical lag")
    status, line, *_ = run_check(*both, "-r", "", "-w", "0", "-c", "0", "-n")
    check_equal(status, 0, f"serials not compared: {line}")
    wait_until(lambda: time.time() > began + 5, "a record of some age")
    status, line, *_ = run_check("-z", "clamav.test", "-s", server(second), "-w", "2", "-c", "100")
    check(status == 1 and "record is " in line, f"an old record: {status} {line}")

    gone = server(second)
    second.stop()
    status, line, *_ = run_check(*both, "-w", "60", "-c", "120")
    check_equal((status, line), (2, f"DNSD_FLEET CRITICAL - {gone} does not answer"), "one is silent")


def test_fleet_zone(case, daemon):
    """A zone or record that is not there, another server's answers, and wrong arguments."""
    status, line, *_ = run_check("-z", "elsewhere.test", "-s", server(daemon))
    check_equal((status, line), (2, f"DNSD_FLEET CRITICAL - {server(daemon)} answers REFUSED for the SOA"), "zone")
    status, line, *_ = run_check("-z", "clamav.test", "-s", server(daemon))
    check_equal((status, line), (2, f"DNSD_FLEET CRITICAL - {server(daemon)} has no current.cvd: NXDOMAIN"), "record")
    for arguments in ([], ["-z", "a.test", "-w", "x"], ["-z", "a.test", "-w", "9", "-c", "8"], ["-z", "a b;c"], ["-q"],
                      ["-z", "a.test", "more"]):
        check_equal(run_check(*arguments)[0], 3, f"status of {arguments}")
    status, text = run([CHECK, "--help"])
    check(status == 0 and "-z ZONE" in text, f"--help: {status} {text}")
