"""Pool names: who is in an answer, how often first, and what a country without mirrors gets."""
import dns.message

from harness import (Lookups, TCP, addresses, ask, check, check_equal, check_negative, check_rcode, is_tc, make_query,
                     open_socket, parse_answer, records, socket)

CCTLDS = """ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca
cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge
gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn
kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne
nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl
sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf
ws ye yt za zm zw""".split()

MIRRORS = (
    # DE: four alike.
    [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
    # FR: one has three times the other's weight.
    + [("m1.fr.example", "FR", ["192.0.2.11"], 100), ("m2.fr.example", "FR", ["192.0.2.12"], 300)]
    # JP: both families, several addresses.
    + [("m1.jp.example", "JP", ["192.0.2.21", "192.0.2.22", "2001:db8:7::21"]),
       ("m2.jp.example", "JP", ["192.0.2.23", "2001:db8:7::23", "2001:db8:7::24"]),
       ("m3.jp.example", "JP", ["192.0.2.25"])]
    # NL: more than fit into an answer, half of them with IPv6.
    + [(f"m{i}.nl.example", "NL", [f"192.0.2.{30 + i}"] + ([f"2001:db8:31::{i}"] if i % 2 else []))
       for i in range(1, 13)]
    # US: too many for 512 bytes.
    + [(f"m{i}.us.example", "US", [f"198.51.100.{i}"] + ([f"2001:db8:1::{i:x}"] if i % 3 == 0 else []))
       for i in range(1, 41)]
    + [("m1.gb.example", "GB", ["192.0.2.61"]),
       ("m1.au.example", "AU", ["192.0.2.62", "2001:db8:61::1"]),
       ("m1.se.example", "SE", ["2001:db8:46::1"]),  # no IPv4
       ("m1.it.example", "IT", ["192.0.2.64"]),
       ("m1.ru.example", "RU", ["192.0.2.65"], 50),
       ("m2.ru.example", "RU", ["192.0.2.66"], 50),
       ("m3.ru.example", "RU", ["192.0.2.67"], 100)]
)

REGIONS = """
regions = (
	{ name = "europe"; countries = [ "DE", "FR", "NL", "GB", "UK", "SE", "IT", "RU", "PL", "NO" ]; },
	{ name = "america"; countries = [ "US", "CA", "BR" ]; },
	{ name = "asia"; countries = [ "JP", "CN" ]; },
	{ name = "other"; countries = [ "AU", "NZ", "ZA" ]; },
	{ name = "nowhere"; countries = [ "AQ" ]; }
);
neighbours = (
	{ country = "NZ"; near = [ "AU" ]; },
	{ country = "LI"; near = [ "CH", "AT", "IT" ]; },
	{ country = "SE"; near = [ "NO", "DE" ]; }
);
"""


def of(country, six=False):
    return sorted(a for _, c, listed, *_ in MIRRORS if c == country for a in listed if (":" in a) == six)


def setup(case):
    return case.daemon(case.site().pool_site(MIRRORS, REGIONS))


def everyone(daemon, name, rdtype="A"):
    """All addresses that a name gives: asked until a hundred answers in a row bring nothing new."""
    seen = set()
    news = 100
    with Lookups(daemon.addr) as lookups:
        while news:
            got = set(addresses(lookups.ask(name, rdtype)))
            news = news - 1 if got <= seen else 100
            seen |= got
    return sorted(seen)


def test_members(case, daemon):
    """A country's name has that country's mirrors, each once, with the pool's TTL."""
    answer = ask(daemon, "db.de.clamav.test")
    check_rcode(answer, "NOERROR")
    check_equal(sorted(records(answer.answer)),
                [("db.de.clamav.test.", 300, "A", f"192.0.2.{i}") for i in range(1, 5)], "db.de")
    check_equal(sorted(addresses(ask(daemon, "DB.De.clamav.test"))), of("DE"), "whatever the case")
    check_equal(records(answer.authority) + records(answer.additional), [], "other sections")


def test_every_country(case, daemon):
    """Every country-code TLD answers, and has its IPv6 and big names."""
    with Lookups(daemon.addr) as lookups:
        for code in CCTLDS:
            for name, rdtype in ((f"db.{code}", "A"), (f"db.{code}.ipv6", "AAAA")):
                answer = lookups.ask(f"{name}.clamav.test", rdtype)
                check_rcode(answer, "NOERROR")
                check(addresses(answer), f"nothing for {name}")
            check_rcode(lookups.ask(f"db.{code}.big.clamav.test", "A", edns=1232), "NOERROR")


def test_no_country(case, daemon):
    """Codes that are no TLD, and names around pool names, are ordinary names."""
    for name in ("db", "xx", "db.xx", "db.zz", "db.xk", "db.deu", "db.d", "x.db.de", "database.x", "db.de.ipv4"):
        check_negative(ask(daemon, f"{name}.clamav.test"), "NXDOMAIN", "clamav.test.", 300)
    for name in ("de", "big", "us.big", "ipv6"):  # above pool names: empty non-terminals
        check_negative(ask(daemon, f"{name}.clamav.test"), "NOERROR", "clamav.test.", 300)
    check_negative(ask(daemon, "db.de.clamav.test", "TXT"), "NOERROR", "clamav.test.", 300)
    check_negative(ask(daemon, "db.de.clamav.test", "TYPE65400"), "NOERROR", "clamav.test.", 300)


def test_uk(case, daemon):
    """uk is gb."""
    check_equal(addresses(ask(daemon, "db.uk.clamav.test")), of("GB"), "db.uk")
    check_equal(addresses(ask(daemon, "db.gb.clamav.test")), of("GB"), "db.gb")


def test_fallback(case, daemon):
    """Neighbours first, then the region, then the world."""
    check_equal(everyone(daemon, "db.nz.clamav.test"), of("AU"), "NZ borrows from AU")
    check_equal(everyone(daemon, "db.li.clamav.test"), of("IT"), "LI: CH and AT have none, IT has")
    europe = sorted(a for c in ("DE", "FR", "NL", "GB", "IT", "RU") for a in of(c))
    check_equal(everyone(daemon, "db.pl.clamav.test"), europe, "PL has no neighbours: its region")
    world = sorted(a for _, _, listed, *_ in MIRRORS for a in listed if ":" not in a)
    check_equal(everyone(daemon, "db.mn.clamav.test"), world, "MN is in no region: the world")
    check_equal(everyone(daemon, "db.aq.clamav.test"), world, "AQ's region is empty: the world")


def test_regions(case, daemon):
    """db.REGION has the region's mirrors, database all; a region without any gets the world."""
    check_equal(everyone(daemon, "db.america.clamav.test"), of("US"), "db.america")
    check_equal(everyone(daemon, "db.asia.clamav.test"), of("JP"), "db.asia")
    check_equal(everyone(daemon, "db.other.clamav.test"), of("AU"), "db.other")
    check_equal(everyone(daemon, "db.other.clamav.test", "AAAA"), of("AU", six=True), "AAAA of db.other")
    world = sorted(a for _, _, listed, *_ in MIRRORS for a in listed if ":" not in a)
    check_equal(everyone(daemon, "database.clamav.test"), world, "database")
    check_equal(everyone(daemon, "db.nowhere.clamav.test"), world, "db.nowhere")


def test_rotation(case, daemon):
    """200 lookups of a country with four mirrors: each comes first 35 to 65 times."""
    def share(ask_first):
        first = [ask_first() for _ in range(200)]
        counts = {address: first.count(address) for address in of("DE")}
        check_equal(sum(counts.values()), 200, "first addresses that are of the country")
        check(all(35 <= n <= 65 for n in counts.values()), f"first: {counts}")

    with Lookups(daemon.addr) as lookups:
        share(lambda: addresses(lookups.ask("db.de.clamav.test"))[0])
    # A new socket each time, as real clients have: spread over the workers.
    share(lambda: addresses(ask(daemon, "db.de.clamav.test"))[0])

    # A and AAAA in pairs, and another name in between, must not make only every other turn visible.
    def pair():
        address = addresses(lookups.ask("db.de.clamav.test"))[0]
        lookups.ask("db.de.clamav.test", "AAAA")
        lookups.ask("db.fr.clamav.test")
        return address
    with Lookups(daemon.addr) as lookups:
        share(pair)


def test_rotation_tail(case, daemon):
    """A client that skips the first address spreads too: each of the others comes second about as often."""
    with Lookups(daemon.addr) as lookups:
        second = [addresses(lookups.ask("db.de.clamav.test"))[1] for _ in range(200)]
    counts = {address: second.count(address) for address in of("DE")}
    check(all(20 <= n <= 80 for n in counts.values()), f"second: {counts}")


def bulk_first(daemon, name, n):
    """First addresses of n answers."""
    request = make_query(name, "A").to_wire()
    first = []
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        for i in range(n):
            wire = i.to_bytes(2, "big") + request[2:]
            sock.send(wire)
            answer = sock.recv(65535)
            if i % 100 == 0:
                parse_answer(wire, answer, 512)
            check_equal(answer[:2], wire[:2], "id")
            at = len(request)  # the first record: pointer to the question, type, class, TTL, length
            check_equal(answer[at:at + 6].hex(), "c00c00010001", "start of the first record")
            first.append(socket.inet_ntoa(answer[at + 12:at + 16]))
    return first


def test_weights(case, daemon):
    """Weights 1:3 give 1:3 within 10 % over 4,000 lookups; 1:1:2 likewise."""
    first = bulk_first(daemon, "db.fr.clamav.test", 4000)
    light, heavy = first.count("192.0.2.11"), first.count("192.0.2.12")
    check_equal(light + heavy, 4000, "first addresses of FR")
    check(2.7 <= heavy / light <= 3.3, f"{heavy} : {light}")
    first = bulk_first(daemon, "db.ru.clamav.test", 4000)
    share = {a: first.count(a) / 1000 for a in of("RU")}
    check(0.9 <= share["192.0.2.65"] <= 1.1 and 0.9 <= share["192.0.2.66"] <= 1.1
          and 1.8 <= share["192.0.2.67"] <= 2.2, f"{share}")


def test_max_answers(case, daemon):
    """At most max-answers addresses, all different; over a turn each mirror is seen, each as often."""
    count = dict.fromkeys(of("NL"), 0)
    with Lookups(daemon.addr) as lookups:
        for _ in range(240):
            got = addresses(lookups.ask("db.nl.clamav.test"))
            check_equal((len(got), len(set(got))), (8, 8), "addresses in an answer")
            for address in got:
                count[address] += 1
    check(all(120 <= n <= 200 for n in count.values()), f"in how many of 240 answers: {count}")


def test_one_decision(case, daemon):
    """A and AAAA of a name are of the same mirrors; an AAAA of mirrors without IPv6 is an honest NODATA."""
    check_equal(everyone(daemon, "db.jp.clamav.test"), of("JP"), "A of JP")
    check_equal(everyone(daemon, "db.jp.clamav.test", "AAAA"), of("JP", six=True), "AAAA of JP")
    check_equal(everyone(daemon, "db.nl.clamav.test", "AAAA"), of("NL", six=True), "AAAA of NL")
    check_equal(everyone(daemon, "db.nz.clamav.test", "AAAA"), of("AU", six=True), "AAAA of NZ, as its A from AU")
    check_negative(ask(daemon, "db.de.clamav.test", "AAAA"), "NOERROR", "clamav.test.", 300)


def test_no_ipv4(case, daemon):
    """A country whose only mirror has no IPv4 borrows that family: nobody gets an empty A."""
    check_equal(everyone(daemon, "db.se.clamav.test", "AAAA"), of("SE", six=True), "AAAA of SE")
    check_equal(everyone(daemon, "db.se.clamav.test"), of("DE"), "A of SE: from its neighbour DE")


def test_ipv6_names(case, daemon):
    """db.XY.ipv6 has AAAA only, also where the country has to borrow them."""
    check_equal(everyone(daemon, "db.jp.ipv6.clamav.test", "AAAA"), of("JP", six=True), "db.jp.ipv6")
    for name in ("db.jp.ipv6", "db.de.ipv6", "db.se.ipv6"):
        check_negative(ask(daemon, f"{name}.clamav.test", "A"), "NOERROR", "clamav.test.", 300)
    europe = sorted(a for c in ("NL", "SE") for a in of(c, six=True))
    check_equal(everyone(daemon, "db.de.ipv6.clamav.test", "AAAA"), europe, "DE has no IPv6: the region's")


def test_big(case, daemon):
    """db.XY.big: the whole pool; TC over UDP when it doesn't fit, everything over TCP."""
    before = daemon.counters()
    check(is_tc(ask(daemon, "db.us.big.clamav.test")), "TC without EDNS")
    daemon.check_moved(before, {"queries_udp": 1, "noerror": 1, "truncated": 1, "pool": 1}, "db.us.big over UDP")
    answer = ask(daemon, "db.us.big.clamav.test", edns=1232)
    check(not is_tc(answer), "TC with EDNS, where it fits")
    check_equal(sorted(addresses(answer)), of("US"), "with EDNS")
    for rdtype, six in (("A", False), ("AAAA", True)):
        answer = ask(daemon, "db.us.big.clamav.test", rdtype, transport=TCP)
        check(not is_tc(answer), "TC over TCP")
        check_equal(sorted(addresses(answer)), of("US", six), f"{rdtype} over TCP")
    first = {addresses(ask(daemon, "db.us.big.clamav.test", edns=1232))[0] for _ in range(100)}
    check(len(first) > 20, f"only {len(first)} different first addresses in 100 answers")


def test_any(case, daemon):
    """ANY of a pool name is one RRset too."""
    answer = ask(daemon, "db.jp.clamav.test", "ANY")
    check_rcode(answer, "NOERROR")
    check_equal(len({kind for _, _, kind, _ in records(answer.answer)}), 1, "types")


def test_ping(case, daemon):
    """Usage reports are answered at once, and counted by result."""
    reports = [("daily.15023.64.1.0.219.94.128.99.ping", "ping_ok"), ("main.55.76.1.0.515B64AD.ping", "ping_ok"),
               ("daily.25378.93.0.0.6810DB54.ping", "ping_failed"),
               ("main.0.93.0.1.20010db8000100000000000000000010.ping", "ping_failed")]
    for report, counter in reports:
        before = daemon.counters()
        answer = ask(daemon, f"{report}.clamav.test")
        check(answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), f"{report}: rcode {answer.rcode()}")
        daemon.check_moved(before, {"queries_udp": 1, "noerror": 1, counter: 1}, report)
    for odd in ("ping", "x.ping", "1.1.1.1.1.ping", "a.b.c.d.e.f.g.h.i.j.k.ping"):
        answer = ask(daemon, f"{odd}.clamav.test")
        check(answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), f"{odd}: rcode {answer.rcode()}")


def test_cname_to_pool(case, daemon):
    """A zone file's CNAME may lead to a pool name, as ClamAV's did."""
    site = case.site()
    site.pool_site(MIRRORS, REGIONS, zone_text="""$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
mirror	CNAME	db.de
near	CNAME	db.local
""")
    other = case.daemon(site)
    answer = ask(other, "mirror.clamav.test")
    check_equal(records(answer.answer)[0], ("mirror.clamav.test.", 3600, "CNAME", "db.de.clamav.test."), "the link")
    check_equal(sorted(addresses(answer)), of("DE"), "where it leads")
    first = [addresses(ask(other, "mirror.clamav.test"))[0] for _ in range(40)]
    check_equal(sorted(set(first)), of("DE"), "first addresses through the link")
    check_equal(sorted(addresses(ask(other, "near.clamav.test", source="127.3.0.1"))), of("FR"), "nearest, through a link")


def test_min_mirrors(case, daemon):
    """min-mirrors = 3: a country with fewer keeps its own and is joined by neighbours."""
    site = case.site().pool_site(MIRRORS, REGIONS, pool={"min_mirrors": 3, "max_answers": 3, "ttl": '"90s"'})
    other = case.daemon(site)
    answer = ask(other, "db.de.clamav.test")
    check_equal((len(addresses(answer)), answer.answer[0].ttl), (3, 90), "addresses, TTL")
    check_equal(everyone(other, "db.li.clamav.test"), sorted(a for c in ("DE", "FR", "NL", "GB", "IT", "RU", "JP", "US", "AU")
                                                            for a in of(c)), "LI: one neighbour's is not enough")
