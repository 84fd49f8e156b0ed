"""db.local: the nearest pool by source address or client subnet, and how far an answer may be reused."""
import ipaddress
import os

from harness import (Lookups, TCP, addresses, ask, check, check_equal, check_rcode, ecs_of, geo_expect, geo_file,
                     geo_table, make_query, need_ipv6, parse_answer, exchange_udp, text_of)

# One mirror a country, so that an answer says which country was meant.
COUNTRIES = "US DE FR GB JP NL RU SE IT AU CN CZ BE BR AT EU ZA NZ IN LI".split()
MIRRORS = [(f"m.{c.lower()}.example", c, [f"198.51.100.{i}", f"2001:db8:100::{i:x}"])
           for i, c in enumerate(COUNTRIES, 1)]
VERSION = """{ name = "current.cvd"; software = "1.4.3"; main = 62; daily = 27500; bytecode = 335; }"""


def address_of(country, six=False):
    return [a for _, c, listed in MIRRORS if c == country for a in listed if (":" in a) == six]


def country_of(message):
    """The country whose pool this is; None for the world's."""
    got = addresses(message)
    if len(got) > 1:
        check_equal(len(got), 8, "addresses of the world's pool")
        return None
    return next(c for _, c, listed in MIRRORS if got[0] in listed)


def setup(case):
    return case.daemon(case.site().pool_site(MIRRORS, versions=VERSION))


def test_source_address(case, daemon):
    """Without a client subnet the source address decides, for A and AAAA, over UDP and TCP."""
    loopback = [(net, c) for net, c in geo_table() if net.version == 4 and net.subnet_of(ipaddress.ip_network("127.0.0.0/8"))]
    check(len(loopback) >= 20, "networks in 127.0.0.0/8")
    for net, country in loopback:
        source = str(net.network_address + 1)
        check_equal(country_of(ask(daemon, "db.local.clamav.test", source=source)), country, f"from {source}")
    for transport in ("udp", "tcp"):
        got = ask(daemon, "db.local.clamav.test", "AAAA", source="127.2.3.4", transport=transport)
        check_equal(addresses(got), address_of("DE", six=True), f"AAAA over {transport}")


def test_unknown_source(case, daemon):
    """From nowhere: the world, never nothing."""
    before = daemon.counters()
    check_equal(country_of(ask(daemon, "db.local.clamav.test", source="127.200.0.1")), None, "from 127.200.0.1")
    daemon.check_moved(before, {"queries_udp": 1, "noerror": 1, "pool": 1, "pool_geo": 1, "geo_unknown": 1},
                       "a client of unknown country")


SUBNETS = [  # subnet, country, scope
    ("192.0.2.1/32", "US", 25), ("192.0.2.0/24", "US", 25), ("192.0.2.0/25", "US", 25), ("192.0.2.200/32", "DE", 25),
    ("192.0.2.128/25", "DE", 25), ("198.51.100.0/24", "FR", 24), ("198.51.100.7/32", "FR", 24),
    ("203.0.113.9/32", "JP", 24), ("203.0.112.0/23", None, 24), ("5.1.2.0/24", "DE", 9), ("5.0.0.0/8", "DE", 9),
    ("5.129.0.0/16", "FR", 10), ("5.192.0.0/16", None, 10), ("8.1.2.3/32", "US", 9), ("8.128.0.0/16", None, 9),
    ("41.1.1.0/24", "ZA", 11), ("133.1.1.0/24", "JP", 8), ("127.2.0.0/16", "DE", 16), ("127.2.0.1/32", "DE", 16),
    ("1.2.3.0/24", None, 6), ("10.0.0.0/8", None, 7),
    ("2001:db8:1::/48", "US", 48), ("2001:db8:2::1/128", "DE", 48), ("2001:db8:3:4::/64", "FR", 48),
    ("2001:db8:4::/64", None, 46), ("2001:db8::/32", None, 48), ("2600:1234::/32", "US", 12),
    ("2a00:1::/32", "DE", 32), ("2a00:2:3::/48", "FR", 32), ("2400:4001::/32", "JP", 22),
]


def test_scope(case, daemon):
    """Country and exact scope for client subnets of both families and of many lengths."""
    for subnet, country, scope in SUBNETS:
        address, length = subnet.split("/")
        check_equal(geo_expect(address), (country, scope), f"the table for {subnet} (tests/data/make-test-geo.sh)")
        answer = ask(daemon, "db.local.clamav.test", ecs=subnet, source="127.9.0.1")
        check_rcode(answer, "NOERROR")
        check_equal(country_of(answer), country, f"country for {subnet}")
        check_equal(ecs_of(answer), (address, int(length), scope), f"client subnet in the answer to {subnet}")


def test_scope_six(case, daemon):
    """AAAA and TCP have the same scope."""
    for keywords in ({"rdtype": "AAAA"}, {"transport": TCP}, {"rdtype": "AAAA", "transport": TCP}):
        answer = ask(daemon, "db.local.clamav.test", ecs="192.0.2.200/32", **keywords)
        check_equal((country_of(answer), ecs_of(answer)), ("DE", ("192.0.2.200", 32, 25)), f"{keywords}")


def test_scope_random(case, daemon):
    """Random subnets near every border of the table, against a second opinion."""
    asked = 0
    with Lookups(daemon.addr) as lookups:
        for net, _ in geo_table():
            if net.version == 6 and not net.subnet_of(ipaddress.ip_network("2000::/3")):
                continue
            first, last = int(net.network_address), int(net.broadcast_address)
            for number in (first, last, first - 1, last + 1, case.random.randint(first, last)):
                address = type(net.network_address)(number)
                length = case.random.randint(1, net.max_prefixlen)
                cut = ipaddress.ip_network((address, length), strict=False).network_address
                if geo_expect(str(cut))[1] is None:
                    continue
                answer = lookups.ask("db.local.clamav.test", ecs=f"{cut}/{length}")
                country, scope = geo_expect(str(cut))
                check_equal((country_of(answer), ecs_of(answer)), (country, (str(cut), length, scope)), f"{cut}/{length}")
                asked += 1
    check(asked > 150, f"only {asked} subnets asked about")


def test_source_zero(case, daemon):
    """Source /0: "don't use my address": scope 0, and the answer as without the option."""
    for subnet in ("0.0.0.0/0", "::/0"):
        answer = ask(daemon, "db.local.clamav.test", ecs=subnet, source="127.3.0.1")
        check_equal(ecs_of(answer), (subnet.split("/")[0], 0, 0), f"client subnet in the answer to {subnet}")
        check_equal(country_of(answer), "FR", f"country for {subnet}, asked from France")


def test_static_scope(case, daemon):
    """Answers that don't depend on the client say scope 0."""
    for name, rdtype in (("www", "A"), ("@", "SOA"), ("no-such-name", "A"), ("www", "MX"), ("db.de", "A"),
                         ("database", "A"), ("db.de.ipv6", "AAAA"), ("current.cvd", "TXT"), ("x.ping", "A")):
        name = f"{name}.clamav.test".removeprefix("@.")
        answer = ask(daemon, name, rdtype, ecs="192.0.2.0/24")
        check_equal(ecs_of(answer), ("192.0.2.0", 24, 0), f"client subnet in the answer to {name} {rdtype}")
    text_of(ask(daemon, "current.cvd.clamav.test", "TXT", ecs="192.0.2.0/24"))
    answer = ask(daemon, "elsewhere.test", ecs="192.0.2.0/24")
    check_equal(ecs_of(answer), ("192.0.2.0", 24, 0), "client subnet in a REFUSED")


def test_no_option_unasked(case, daemon):
    """No client subnet in the answer when there was none in the query."""
    check_equal(ecs_of(ask(daemon, "db.local.clamav.test", edns=1232)), None, "option")


MALFORMED = [
    ("empty", ""), ("three bytes", "000118"), ("address missing", "00011800"), ("address short", "00011800c000"),
    ("address long", "00011800c0000200"), ("stray bit", "00011400c0000f"), ("last bit", "00011f00c0000201"),
    ("scope set", "00011818c00002"), ("length over 32", "00012100c000020100"), ("length over 128", "00028100" + "20" * 17),
    ("family 0", "00001800c00002"), ("family 3", "00031800c00002"), ("family 3, nothing", "00030000"),
    ("family 0 with a scope", "00000008"), ("family 0 with an octet", "0000000000"),
]


def ecs_query(*options):
    """db.local with these option bytes, each as a client subnet."""
    rdata = b"".join(b"\x00\x08" + len(o).to_bytes(2, "big") + o for o in map(bytes.fromhex, options))
    wire = make_query("db.local.clamav.test", "A").to_wire()
    return wire[:10] + b"\x00\x01" + wire[12:] + b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00" + len(rdata).to_bytes(2, "big") + rdata


def test_malformed(case, daemon):
    """RFC 7871 6: a malformed client subnet is FORMERR."""
    for what, option in MALFORMED:
        before = daemon.counters()
        wire = ecs_query(option)
        answer = parse_answer(wire, exchange_udp(daemon.addr, wire), 1232)
        check_rcode(answer, "FORMERR", aa=False)
        check_equal(ecs_of(answer), None, f"client subnet in the answer to: {what}")
        daemon.check_moved(before, {"queries_udp": 1, "formerr": 1}, what)
    wire = ecs_query("00011800c00002", "00011800c00002")
    check_rcode(parse_answer(wire, exchange_udp(daemon.addr, wire), 1232), "FORMERR", aa=False)
    wire = ecs_query("00011800c00002")
    check_equal(country_of(parse_answer(wire, exchange_udp(daemon.addr, wire), 1232)), "US", "the well-formed one")


def test_nets(case, daemon):
    """geo.nets wins over the database, for lookups and for scopes around it."""
    nets = """nets = ( { net = "192.0.2.16/28"; country = "NL"; }, { net = "10.0.0.0/8"; country = "DE"; },
	{ net = "127.0.0.1/32"; country = "SE"; }, { net = "2001:db8:1:8000::/49"; country = "IT"; } );"""
    site = case.site().pool_site(MIRRORS, geo=f'database = "{geo_file()}"; {nets}')
    other = case.daemon(site)
    for subnet, country, scope in (("192.0.2.17/32", "NL", 28), ("192.0.2.0/32", "US", 28), ("192.0.2.40/32", "US", 27),
                                   ("192.0.2.100/32", "US", 26), ("10.1.2.0/24", "DE", 8),
                                   ("2001:db8:1:9000::/52", "IT", 49), ("2001:db8:1:1::/64", "US", 49)):
        answer = ask(other, "db.local.clamav.test", ecs=subnet)
        check_equal((country_of(answer), ecs_of(answer)[2]), (country, scope), subnet)
    check_equal(country_of(ask(other, "db.local.clamav.test", source="127.0.0.1")), "SE", "from 127.0.0.1")


def test_layouts(case, daemon):
    """Every layout and record size that databases come in gives the same answers."""
    folder = os.path.dirname(geo_file())
    check("registered.mmdb" in os.listdir(folder), "databases made")
    for name in ("registered.mmdb", "flat.mmdb", "rec28.mmdb", "rec32.mmdb"):
        other = case.daemon(case.site().pool_site(MIRRORS, geo=f'database = "{geo_file(name)}";', workers=1))
        for subnet, country, scope in (("192.0.2.200/32", "DE", 25), ("5.129.0.0/16", "FR", 10), ("2600:1::/32", "US", 12)):
            answer = ask(other, "db.local.clamav.test", ecs=subnet)
            check_equal((country_of(answer), ecs_of(answer)[2]), (country, scope), f"{name}: {subnet}")
        other.stop()


def test_two_files(case, daemon):
    """One file for each family; and only one: the other family gets the world."""
    both = f'database = "{geo_file("v4only.mmdb")}"; database-ipv6 = "{geo_file("v6only.mmdb")}";'
    other = case.daemon(case.site().pool_site(MIRRORS, geo=both, workers=1))
    check_equal(country_of(ask(other, "db.local.clamav.test", ecs="192.0.2.200/32")), "DE", "IPv4 with two files")
    check_equal(country_of(ask(other, "db.local.clamav.test", ecs="2001:db8:3::/48")), "FR", "IPv6 with two files")
    other = case.daemon(case.site().pool_site(MIRRORS, geo=f'database = "{geo_file("v4only.mmdb")}";', workers=1))
    check_equal(country_of(ask(other, "db.local.clamav.test", ecs="192.0.2.200/32")), "DE", "IPv4 with one file")
    check_equal(country_of(ask(other, "db.local.clamav.test", ecs="2001:db8:3::/48")), None, "IPv6 with one file")


def test_no_database(case, daemon):
    """Without a database everybody gets the world, with a scope that fits that."""
    other = case.daemon(case.site().pool_site(MIRRORS, geo=" ", workers=1))
    answer = ask(other, "db.local.clamav.test", ecs="192.0.2.200/32")
    check_equal((country_of(answer), ecs_of(answer)), (None, ("192.0.2.200", 32, 0)), "answer")


def test_ipv6_source(case, daemon):
    """An IPv6 client without a client subnet."""
    need_ipv6()
    nets = 'nets = ( { net = "::1/128"; country = "CZ"; } );'
    site = case.site().pool_site(MIRRORS, geo=f'database = "{geo_file()}"; {nets}', listen=["::1@0"])
    other = case.daemon(site)
    check_equal(country_of(ask(other, "db.local.clamav.test")), "CZ", "from ::1")
    check_equal(country_of(ask(other, "db.local.clamav.test", transport=TCP)), "CZ", "from ::1 over TCP")
