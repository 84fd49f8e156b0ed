"""The tables of the RFCs, byte by byte, over UDP, TCP and TLS. docs/rfc.md says which section each test shows.

Answers are the same over each, but for what tls_differs and keepalive_differs say and why.
"""
import struct

from harness import Tcp, ask, check, check_equal, check_rcode, open_socket, socket, wait_until
from t35_packets import over_tcp, over_udp
from tls_support import Tls, make_certificate, tls_addr, tls_keys
from wire import (A, AA, AAAA, AD, ANY, AXFR, BADVERS, CD, CH, DO, DS, FORMERR, HS, IN, IXFR, MAILA, MAILB, MX, NONE, NOERROR,
                  NOTIMP, NS, NXDOMAIN, OPT, RA, RD, REFUSED, SERVFAIL, SIG, SOA, SRV, TC, TKEY, TSIG, TXT, Z, Answer, message, opt,
                  option, question, record, wire_name)

ZONE = "clamav.test"
WWW = question("www." + ZONE)
ROOM = 12 + len(wire_name("n0000." + ZONE)) + 4 + 11  # header, question and OPT


def sized_txt(label, answer_len):
    """TXT records of label, which make an answer of exactly this length with OPT; one record is 13 bytes and its text."""
    left = answer_len - ROOM
    lines = []
    while left:
        take = left if left <= 212 else min(212, left - 15)
        lines.append(f'{label}\tTXT\t"{len(lines):02x}{"x" * (take - 15)}"\n')
        left -= take
    return "".join(lines)


LENGTHS = (511, 512, 513, 1230, 1231, 1232, 1233, 1500, 4096, 5000)
ZONE_TEXT = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250
WwW2.MixeD	A	192.0.2.252
alias	CNAME	www
sub	NS	ns.sub
ns.sub	A	192.0.2.90
old	DNAME	new
host.new	A	192.0.2.20
*.wild	A	192.0.2.77
srv	SRV	0 0 1 www
mx	MX	1 www
bin\\000\\255\\.ary	A	192.0.2.78
""" + "".join(sized_txt(f"n{length:04}", length) for length in LENGTHS)


NODE = "node-1.example"
UNVERIFIED = '{ name = "current.cvd"; feed = "clamav"; software = "1.4.3"; }'  # by a feed that never comes


def setup(case):
    site = case.site()
    make_certificate(site)
    daemon = case.daemon(site.pool_site([("m.de.example", "DE", ["198.51.100.1"]), ("m.fr.example", "FR", ["198.51.100.2"])],
                                        zone_text=ZONE_TEXT, versions=UNVERIFIED, pool={"feed": '"feed.json"'},
                                        server=tls_keys() + f'tcp-idle = "10m"; id = "{NODE}"; chaos-allow = "192.0.2.1";'))
    daemon.tls = case.stack.enter_context(Tls(tls_addr(daemon)))
    return daemon


def over_tls(daemon, wire):
    """All over one connection: what is wrong with one message is no reason to end it."""
    daemon.tls.send(wire)
    return daemon.tls.receive()


def over_all(daemon, wire, what):
    """The answers over UDP, TCP and TLS, after what holds of every answer was checked."""
    got = []
    for transport, send in (("udp", over_udp), ("tcp", over_tcp), ("tls", over_tls)):
        raw = send(daemon, wire)
        check(raw is not None, f"{what}: no answer over {transport}")
        answer = Answer(raw)
        asked = struct.unpack(">H", wire[2:4])[0]
        check_equal(answer.ident, struct.unpack(">H", wire[:2])[0], f"{what}: id over {transport}")
        check_equal(answer.flags & (0x7800 | RD), asked & (0x7800 | RD), f"{what}: opcode and RD over {transport}")
        check_equal(answer.flags & (RA | Z | AD | CD), 0, f"{what}: RA, Z, AD, CD over {transport}")
        check(answer.question in (b"", wire[12:12 + len(answer.question)]), f"{what}: question over {transport}")
        if answer.opt:
            check_equal((answer.opt.version, answer.opt.flags & ~DO), (0, 0), f"{what}: version and Z bits over {transport}")
        got.append(answer)
    return got


def expect(daemon, wire, rcode, what, has_opt=False, records_n=None):
    """This rcode over each; an error has no records but an OPT, where that is due."""
    for answer in over_all(daemon, wire, what):
        check_equal(answer.rcode, rcode, f"{what}: rcode")
        check_equal(answer.opt is not None, has_opt, f"{what}: OPT in the answer")
        if records_n is None and rcode not in (NOERROR, NXDOMAIN):
            records_n = 0
        if records_n is not None:
            check_equal(answer.records_n, records_n, f"{what}: records")
        yield answer


def check_all(daemon, wire, rcode, what, **keywords):
    return list(expect(daemon, wire, rcode, what, **keywords))


# --- EDNS: RFC 6891 ---

def test_version(case, daemon):
    """6.1.3: a version over 0 is BADVERS with ours, whatever else its OPT holds; the question comes back, nothing else."""
    ecs = option(8, b"\0\1\x18\0\xc0\0\2")
    for version in (1, 2, 3, 127, 128, 254, 255):
        for what, more in (("plain", {}), ("unknown option", {"options": option(100)}), ("unknown flags", {"flags": 0x40}),
                           ("DO", {"flags": DO}), ("all flags", {"flags": 0xffff}), ("client subnet", {"options": ecs}),
                           ("client subnet twice", {"options": ecs * 2}), ("malformed options", {"options": b"\xff\xff\xff"}),
                           ("size 0", {"size": 0}), ("extended rcode", {"rcode": 255})):
            wire = message(WWW, additional=[opt(version=version, **more)])
            for answer in expect(daemon, wire, BADVERS, f"version {version}, {what}", has_opt=True):
                check_equal(answer.question, WWW, f"version {version}, {what}: question")
                check_equal(answer.opt.options, [], f"version {version}, {what}: options")
                check_equal(answer.opt.flags, more.get("flags", 0) & DO, f"version {version}, {what}: DO")
    check_all(daemon, message(question("elsewhere.test"), additional=[opt(version=1)]), BADVERS, "not our zone", has_opt=True)
    check_all(daemon, message(question(ZONE, AXFR), additional=[opt(version=1)]), BADVERS, "AXFR", has_opt=True)


def test_unknown_options(case, daemon):
    """6.1.2: options nobody knows, and those that are no business of ours, are ignored; none comes back."""
    plain = Answer(over_udp(daemon, message(WWW)))
    for code in (0, 1, 2, 4, 5, 6, 7, 9, 13, 14, 16, 17, 20, 100, 26946, 65001, 65534, 65535):
        for length in (0, 1, 8, 100):
            wire = message(WWW, additional=[opt(options=option(code, bytes(length)))])
            for answer in expect(daemon, wire, NOERROR, f"option {code} of {length} bytes", has_opt=True):
                check_equal((answer.sections, answer.opt.options), (plain.sections, []), f"answer beside option {code}")
    wire = message(WWW, additional=[opt(options=b"".join(option(code) for code in range(100, 400)))])
    check_all(daemon, wire, NOERROR, "300 options", has_opt=True)
    wire = message(WWW, additional=[opt(options=option(65001, bytes(1000)))])
    check_all(daemon, wire, NOERROR, "an option of 1,000 bytes", has_opt=True)


def test_flags(case, daemon):
    """6.1.4, RFC 3225: DO is copied, every other flag is cleared."""
    for bit in range(16):
        for answer in expect(daemon, message(WWW, additional=[opt(flags=1 << bit)]), NOERROR, f"flag bit {bit}", has_opt=True):
            check_equal(answer.opt.flags, 1 << bit & DO, f"flags in the answer to bit {bit}")
    for answer in expect(daemon, message(WWW, additional=[opt(flags=0xffff)]), NOERROR, "all flags", has_opt=True):
        check_equal(answer.opt.flags, DO, "flags in the answer to all")


def test_do_changes_nothing(case, daemon):
    """Unsigned data: with DO the same records as without, in any order of asking (CVE-2018-14626 of a peer)."""
    for name, rdtype in (("www", A), ("alias", A), ("x.sub", A), ("none", A), ("x.old", A), ("x.wild", A), ("www", AAAA)):
        wanted = question(f"{name}.{ZONE}", rdtype)
        seen = [Answer(over_udp(daemon, message(wanted, additional=[opt(flags=flags)])))
                for flags in (0, DO, 0, DO, DO, 0)]
        for answer in seen:
            check_equal((answer.sections, answer.rcode, len(answer.wire)),
                        (seen[0].sections, seen[0].rcode, len(seen[0].wire)), f"{name}: records with and without DO")
        check_equal([answer.opt.flags for answer in seen], [0, DO, 0, DO, DO, 0], f"{name}: DO")


def test_where_opt_stands(case, daemon):
    """6.1.1: one OPT, of the root, anywhere among the additional records; anything else is FORMERR."""
    extra = record("x.test", A, b"\1\2\3\4")
    for what, additional in (("first", [opt(), extra]), ("last", [extra, opt()]), ("between", [extra, opt(), extra])):
        check_all(daemon, message(WWW, additional=additional), NOERROR, f"OPT {what}", has_opt=True)
    for what, wire, has_opt in (
            ("two OPTs", message(WWW, additional=[opt(), opt()]), True),
            ("two OPTs with a record between", message(WWW, additional=[opt(), extra, opt()]), True),
            ("two OPTs, the second of version 1", message(WWW, additional=[opt(), opt(version=1)]), True),
            ("two OPTs, the first of version 1", message(WWW, additional=[opt(version=1), opt()]), True),
            ("OPT as an answer", message(WWW, answer=[opt()]), False),
            ("OPT as authority", message(WWW, authority=[opt()]), False),
            ("OPT as authority and where it belongs", message(WWW, authority=[opt()], additional=[opt()]), False),
            ("OPT of a name", message(WWW, additional=[opt(owner=wire_name("a"))]), False),
            ("OPT of the zone", message(WWW, additional=[opt(owner=b"\xc0\x0c")]), False),
            ("OPT of a pointer to the root", message(WWW, additional=[opt(owner=struct.pack(">H", 0xc000 | 12 + len(WWW) - 5))]),
             False)):
        check_all(daemon, wire, FORMERR, what, has_opt=has_opt)


def test_malformed_options(case, daemon):
    """7: what is wrong inside OPT is FORMERR, and that answer has OPT."""
    for what, options in (("one byte", b"\0"), ("three bytes", b"\0\3\0"), ("no data", b"\0\x64\0\1"),
                          ("length past OPT", b"\0\x64\0\5abcd"), ("length 65535", b"\0\x64\xff\xff" + bytes(100)),
                          ("a good one first", option(100) + b"\0"), ("client subnet of nothing", option(8)),
                          ("two client subnets", option(8, bytes(4)) * 2)):
        check_all(daemon, message(WWW, additional=[opt(options=options)]), FORMERR, what, has_opt=True)
    # The record itself runs out of the message: there is no OPT to speak of.
    for what, tail in (("RDLEN past the end", opt()[:-2] + b"\0\1"), ("RDLEN 65535", opt()[:-2] + b"\xff\xff"), ("cut", opt()[:-1])):
        check_all(daemon, message(WWW, additional=[tail]), FORMERR, f"OPT with {what}")


def test_opt_beside_errors(case, daemon):
    """6.1.1, 7: a request with OPT gets one with every rcode; one without gets none."""
    update = record(ZONE, ANY, rdclass=ANY)
    for what, rcode, questions, more in (
            ("REFUSED, not our zone", REFUSED, [question("elsewhere.test")], {}),
            ("REFUSED, AXFR", REFUSED, [question(ZONE, AXFR)], {}),
            ("REFUSED, class", REFUSED, [question(ZONE, SOA, HS)], {}),
            ("NOTIMP, MAILB", NOTIMP, [question(ZONE, MAILB)], {}),
            ("NOTIMP, NOTIFY", NOTIMP, [question(ZONE, SOA)], {"opcode": 4}),
            ("NOTIMP, UPDATE", NOTIMP, [question(ZONE, SOA)], {"opcode": 5, "answer": [update], "authority": [update]}),
            ("NOTIMP, opcode 15", NOTIMP, [], {"opcode": 15}),
            ("FORMERR, no question", FORMERR, [], {}),
            ("FORMERR, two questions", FORMERR, [WWW, WWW], {}),
            ("FORMERR, pointer as question", FORMERR, [b"\xc0\x0c\0\1\0\1"], {}),
            ("FORMERR, type TSIG", FORMERR, [question(ZONE, TSIG)], {}),
            ("NXDOMAIN", NXDOMAIN, [question("none." + ZONE)], {})):
        check_all(daemon, message(*questions, **more), rcode, what)
        check_all(daemon, message(*questions, additional=[opt()], **more), rcode, what + " with OPT", has_opt=True)
        for answer in expect(daemon, message(*questions, additional=[opt(flags=0xffff)], **more), rcode, what + " with DO",
                             has_opt=True):
            check_equal(answer.opt.flags, DO, f"{what}: flags")


def test_sizes(case, daemon):
    """6.2.3 to 6.2.5: under 512 counts as 512, over our 1232 as 1232; TC when the answer is one byte longer."""
    for length in LENGTHS:
        wanted = question(f"n{length:04}.{ZONE}", TXT)
        whole = Answer(over_tcp(daemon, message(wanted, additional=[opt(size=0)])))
        check_equal((len(whole.wire), whole.tc), (length, False), f"answer of {length} bytes over TCP")
        check_equal(over_tls(daemon, message(wanted, additional=[opt(size=0)])), whole.wire, f"answer of {length} bytes over TLS")
        for size in (0, 1, 511, 512, 513, 1230, 1231, 1232, 1233, 4096, 65535):
            limit = max(512, min(size, 1232))
            answer = Answer(over_udp(daemon, message(wanted, additional=[opt(size=size)])))
            what = f"answer of {length} bytes to a client that takes {size}"
            check(len(answer.wire) <= limit, f"{what}: {len(answer.wire)} bytes")
            check_equal((answer.tc, answer.rcode, answer.opt.size), (length > limit, NOERROR, 1232), what)
            check_equal(answer.sections, [[], [], []] if answer.tc else whole.sections, f"{what}: records")
        answer = Answer(over_udp(daemon, message(wanted)))
        check_equal((answer.tc, answer.opt), (length - 11 > 512, None), f"answer of {length - 11} bytes without EDNS")


# --- where transports differ ---

def test_tls_differs(case, daemon):
    """RFC 8467 4.1: padding hides lengths from who sees only those, so over TLS alone, in blocks of 468 bytes; asked for or not
    at all; not with what is turned down, which says nothing worth hiding."""
    for name, rdtype in (("www", A), ("none", A), ("n0511", TXT), ("n5000", TXT), ("db.de", A)):
        wanted = question(f"{name}.{ZONE}", rdtype)
        plain = len(over_tcp(daemon, message(wanted, additional=[opt()])))
        for padding in (b"", bytes(100)):
            wire = message(wanted, additional=[opt(options=option(12, padding))])
            for transport, send in (("udp", over_udp), ("tcp", over_tcp)):
                check_equal(Answer(send(daemon, wire)).opt.options, [], f"{name}: options over {transport}")
            answer = Answer(over_tls(daemon, wire))
            check_equal([code for code, _ in answer.opt.options], [12], f"{name}: options over TLS")
            check_equal(len(answer.wire), (plain + 4 + 467) // 468 * 468, f"{name}: length over TLS")
            check_equal(answer.opt.options[0][1].strip(b"\0"), b"", f"{name}: what the padding is made of")
        check_equal(len(over_tls(daemon, message(wanted, additional=[opt()]))), plain, f"{name}: length over TLS, no padding asked")
    wire = message(WWW, WWW, additional=[opt(options=option(12, bytes(20)))])
    check_all(daemon, wire, FORMERR, "padding of what is turned down", has_opt=True)


def test_keepalive_differs(case, daemon):
    """RFC 7828 3.2: a connection's idle time is told where there is a connection, and data in that option is FORMERR there;
    over UDP nobody looks at it."""
    asked = message(WWW, additional=[opt(options=option(11))])
    filled = message(WWW, additional=[opt(options=option(11, b"\0\1"))])
    for transport, send, options, rcode in (("udp", over_udp, [], NOERROR), ("tcp", over_tcp, [(11, b"\x17\x70")], FORMERR),
                                            ("tls", over_tls, [(11, b"\x17\x70")], FORMERR)):
        answer = Answer(send(daemon, asked))
        check_equal((answer.rcode, answer.opt.options), (NOERROR, options), f"keepalive over {transport}")
        answer = Answer(send(daemon, filled))
        check_equal((answer.rcode, answer.opt.options), (rcode, []), f"keepalive with data over {transport}")


# --- cookies: RFC 7873, 9018 ---

def test_cookie_beside_errors(case, daemon):
    """5.3: a client that knows our cookies takes an answer without one for forged, so those that turn it down have one too,
    and that cookie is good; none where its own is malformed, where options can't be told apart, and in BADVERS, since options
    of another version are nobody's to read (RFC 6891 6.1.3)."""
    cookie = option(10, bytes(range(8)))
    subnet_cut, forged = option(8, b"\0"), option(10, bytes(8) + b"\1\0\0\0" + bytes(12))
    seen = set()
    for what, rcode, questions, options, more in (
            ("two questions", FORMERR, [WWW, WWW], cookie, {}), ("no question, a record missing", FORMERR, [], cookie, {"counts": {3: 2}}),
            ("a record missing", FORMERR, [WWW], cookie, {"counts": {3: 2}}), ("type TSIG", FORMERR, [question(ZONE, TSIG)], cookie, {}),
            ("a subnet cut before it", FORMERR, [WWW], subnet_cut + cookie, {}),
            ("a subnet cut behind it", FORMERR, [WWW], cookie + subnet_cut, {}), ("a forged one", FORMERR, [WWW, WWW], forged, {}),
            ("opcode 15", NOTIMP, [], cookie, {"opcode": 15}), ("STATUS", NOTIMP, [WWW], cookie, {"opcode": 2}),
            ("NOTIFY", NOTIMP, [question(ZONE, SOA)], cookie, {"opcode": 4}),
            ("UPDATE", NOTIMP, [question(ZONE, SOA)], cookie + option(100), {"opcode": 5}),
            ("MAILB", NOTIMP, [question(ZONE, MAILB)], cookie, {}), ("another zone", REFUSED, [question("x.test")], cookie, {})):
        for answer in expect(daemon, message(*questions, additional=[opt(options=options)], **more), rcode, what, has_opt=True):
            found = dict(answer.opt.options)
            check_equal((list(found), len(found.get(10, b""))), ([10], 24), f"{what}: options")
            seen.add(found[10])
    check_equal({whole[:8] for whole in seen}, {bytes(range(8)), bytes(8)}, "cookies of clients in those of the answers")
    for whole in seen:
        before = daemon.counters()["cookie_valid"]
        answer = Answer(over_udp(daemon, message(WWW, WWW, additional=[opt(options=option(10, whole))])))
        check_equal((answer.rcode, answer.opt.options), (FORMERR, [(10, whole)]), "the cookie of an error, sent back")
        check_equal(daemon.counters()["cookie_valid"], before + 1, "valid cookies")
    for what, rcode, questions, options, version in (
            ("version 1", BADVERS, [WWW], cookie, 1), ("its own is short", FORMERR, [WWW], option(10, bytes(7)), 0),
            ("options cut", FORMERR, [WWW], cookie + b"\0", 0), ("no cookie", FORMERR, [WWW, WWW], option(3) + option(19), 0)):
        for answer in expect(daemon, message(*questions, additional=[opt(options=options, version=version)]), rcode, what,
                             has_opt=True):
            check_equal(answer.opt.options, [], f"{what}: options")


# --- what a query asks for by options: RFC 5001, 7873, 8914, 9660; with ANY of RFC 8482 ---

CLIENT = bytes(range(8))


def check_options(answer, want, what):
    """These options, beside a cookie for CLIENT, which is returned."""
    got = dict(answer.opt.options)
    check_equal(len(got), len(answer.opt.options), f"{what}: options, each once")
    cookie = got.pop(10, b"")
    check_equal((len(cookie), cookie[:8], cookie[8:12], got), (24, CLIENT, b"\1\0\0\0", want), f"{what}: cookie, other options")
    return cookie


def test_asked_for(case, daemon):
    """Server id, cookie and zone version beside every kind of answer, none of them unasked; extended errors; the cookie taken back."""
    asked = option(3) + option(10, CLIENT) + option(19)
    soa = Answer(over_udp(daemon, message(question(ZONE, SOA)))).sections[0][0].rdata
    node, version = {3: NODE.encode()}, {19: b"\2\0" + soa[-20:-16]}
    unverified = {15: b"\0\x18version record has no verified source"}
    cookies = set()
    for what, wanted, rcode, types, more in (
            ("a name", WWW, NOERROR, [A], version), ("ANY of a name", question("www." + ZONE, ANY), NOERROR, [A], version),
            ("ANY of pool members", question("db.de." + ZONE, ANY), NOERROR, [A], version),
            ("no data", question("www." + ZONE, AAAA), NOERROR, [], version),
            ("no such name", question("none." + ZONE), NXDOMAIN, [], version),
            ("a delegation", question("x.sub." + ZONE), NOERROR, [], version),
            ("a name outside", question("elsewhere.test"), REFUSED, [], {}),
            ("a version nobody verified", question("current.cvd." + ZONE, TXT), SERVFAIL, [], version | unverified),
            ("class CH outside chaos-allow", question("id.server", TXT, CH), REFUSED, [],
             {15: b"\0\x12class CH is not open to this address"})):
        for answer in expect(daemon, message(wanted, additional=[opt(options=asked)]), rcode, what, has_opt=True):
            check_equal([r.type for r in answer.sections[0]], types, f"{what}: types of its records")
            cookies.add(check_options(answer, node | more, what))
        unasked = {code: data for code, data in more.items() if code == 15}
        for answer in expect(daemon, message(wanted, additional=[opt()]), rcode, f"{what}, nothing asked for", has_opt=True):
            check_equal(dict(answer.opt.options), unasked, f"{what}: options, none asked for")
    for cookie in cookies:
        before = daemon.counters()["cookie_valid"]
        for wanted, rcode in ((WWW, NOERROR), (question("elsewhere.test"), REFUSED)):
            for answer in expect(daemon, message(wanted, additional=[opt(options=option(10, cookie))]), rcode, "its cookie", has_opt=True):
                check_equal(answer.opt.options, [(10, cookie)], "the cookie again")
        wait_until(lambda: daemon.counters()["cookie_valid"] == before + 6, "each of them is counted as valid")


# --- client subnet: RFC 7871 ---

def subnet(family, source, address, scope=0):
    return option(8, struct.pack(">HBB", family, source, scope) + bytes.fromhex(address))


def test_subnet_good(case, daemon):
    """7.2.1: family, source and address come back as sent, with a scope; beside every rcode."""
    wanted = question("db.local." + ZONE)
    for family, source, address in ((1, 0, ""), (2, 0, ""), (0, 0, ""), (1, 1, "80"), (1, 8, "c0"), (1, 24, "c00002"),
                                    (1, 32, "c0000201"), (2, 1, "80"), (2, 56, "20010db8000100"),
                                    (2, 128, "20010db8000000000000000000000001")):
        what = f"family {family}, /{source}"
        for answer in expect(daemon, message(wanted, additional=[opt(options=subnet(family, source, address))]), NOERROR,
                             what, has_opt=True):
            check_equal(len(answer.opt.options), 1, f"{what}: options")
            code, data = answer.opt.options[0]
            check_equal((code, data[:3], data[4:].hex()), (8, struct.pack(">HB", family, source), address), what)
            check(data[3] == 0 if source == 0 else data[3] > 0, f"{what}: scope {data[3]}")
            check(answer.sections[0], f"{what}: no address")
    for name, rdtype, rcode in (("elsewhere.test", A, REFUSED), (ZONE, AXFR, REFUSED), (ZONE, MAILB, NOTIMP),
                                ("none." + ZONE, A, NXDOMAIN), ("x.sub." + ZONE, A, NOERROR), ("www." + ZONE, A, NOERROR)):
        wire = message(question(name, rdtype), additional=[opt(options=subnet(1, 24, "c00002"))])
        for answer in expect(daemon, wire, rcode, f"client subnet at {name}", has_opt=True):
            check_equal(answer.opt.options, [(8, bytes.fromhex("00011800c00002"))], f"client subnet at {name}, scope 0")


def test_subnet_malformed(case, daemon):
    """6: too many or few octets, bits past the prefix, a prefix past the address, a scope in a query: FORMERR."""
    wanted = question("db.local." + ZONE)
    good = [(1, 24, "c00002"), (1, 20, "c00000"), (2, 56, "20010db8000100")]
    for family, source, address in good:
        for what, bad in (("octet short", subnet(family, source, address[:-2])), ("octet long", subnet(family, source, address + "00")),
                          ("scope 1", subnet(family, source, address, 1)), ("scope 255", subnet(family, source, address, 255)),
                          ("no address", subnet(family, source, "")), ("family 3", subnet(3, source, address)),
                          ("family 65535", subnet(65535, source, address)), ("family 0", subnet(0, source, address)),
                          ("family in the other order", subnet(family << 8, source, address)),
                          ("twice", subnet(family, source, address) * 2)):
            check_all(daemon, message(wanted, additional=[opt(options=bad)]), FORMERR, f"family {family} /{source}, {what}",
                      has_opt=True)
    for source in range(1, 32):
        if source % 8:
            address = bytes((source + 7) // 8 - 1) + bytes([1])  # the last bit is past the prefix
            check_all(daemon, message(wanted, additional=[opt(options=subnet(1, source, address.hex()))]), FORMERR,
                      f"a bit past /{source}", has_opt=True)
    for family, source, octets in ((1, 33, 5), (1, 255, 32), (2, 129, 17), (2, 255, 32)):
        check_all(daemon, message(wanted, additional=[opt(options=subnet(family, source, "00" * octets))]), FORMERR,
                  f"family {family} /{source}", has_opt=True)
    for length in range(4):
        check_all(daemon, message(wanted, additional=[opt(options=option(8, bytes(length)))]), FORMERR, f"{length} bytes",
                  has_opt=True)


# --- header: RFC 1035 4.1.1, 6895, 8906, 9619 ---

def test_opcodes(case, daemon):
    """RFC 8906 3.1.4: NOTIMP for every opcode but QUERY, whatever comes with it; never silence."""
    for opcode in range(1, 16):
        for what, wire in (("a question", message(WWW, opcode=opcode)), ("a header only", message(opcode=opcode)),
                           ("two questions", message(WWW, WWW, opcode=opcode)),
                           ("an AXFR", message(question(ZONE, AXFR), opcode=opcode)),
                           ("counts that lie", message(WWW, opcode=opcode, counts={0: 65535, 1: 65535, 2: 65535, 3: 65535})),
                           ("garbage", message(opcode=opcode, counts={0: 1}, tail=b"\xff" * 40)),
                           ("all flags", message(WWW, opcode=opcode, flags=0x07ff))):
            check_all(daemon, wire, NOTIMP, f"opcode {opcode} with {what}")
        check_all(daemon, message(opcode=opcode, additional=[opt()]), NOTIMP, f"opcode {opcode} with OPT", has_opt=True)


def test_question_of_notimp(case, daemon):
    """The answer to NOTIFY and UPDATE has their question, or zone section (RFC 1996 3.7, 2136 2.3); of other opcodes nobody knows
    what a message holds, so theirs is a header (RFC 8906 8.1.4)."""
    wanted = question(ZONE, SOA)
    for opcode in range(1, 16):
        known = opcode in (4, 5)
        for what, more in (("plain", {}), ("with OPT", {"additional": [opt()]}), ("with OPT promised", {"counts": {3: 1}})):
            for answer in expect(daemon, message(wanted, opcode=opcode, **more), NOTIMP, f"opcode {opcode} {what}",
                                 has_opt="additional" in more):
                check_equal(answer.question, wanted if known else b"", f"opcode {opcode} {what}: question")
        for what, wire in (("two", message(wanted, wanted, opcode=opcode)), ("none", message(opcode=opcode)),
                           ("half", message(wanted[:-3], opcode=opcode, counts={0: 1})),
                           ("a pointer", message(b"\xc0\x0c\0\6\0\1", opcode=opcode))):
            for answer in expect(daemon, wire, NOTIMP, f"opcode {opcode}, {what}"):
                check_equal(answer.wire[4:], bytes(8), f"opcode {opcode}, {what}: behind the flags")
    for answer in expect(daemon, message(question(ZONE, MAILB)), NOTIMP, "MAILB"):
        check_equal(answer.question, question(ZONE, MAILB), "question of MAILB")


def test_notify_update(case, daemon):
    """RFC 1996, 2136: whole, well-formed and ill-formed NOTIFY and UPDATE are NOTIMP; the zone stays as it is."""
    before = ask(daemon, ZONE, "SOA").answer
    soa = record(ZONE, SOA, wire_name("ns1." + ZONE) + wire_name("h." + ZONE) + bytes(20))
    new = record("added." + ZONE, A, b"\xc0\0\2\1", ttl=60)
    for what, wire in (
            ("NOTIFY", message(question(ZONE, SOA), opcode=4, flags=AA)),
            ("NOTIFY with a SOA", message(question(ZONE, SOA), opcode=4, flags=AA, answer=[soa])),
            ("NOTIFY of another zone", message(question("elsewhere.test", SOA), opcode=4)),
            ("UPDATE adds", message(question(ZONE, SOA), opcode=5, authority=[new])),
            ("UPDATE with a condition", message(question(ZONE, SOA), opcode=5, answer=[record("x." + ZONE, ANY, rdclass=ANY)],
                                                authority=[new])),
            ("UPDATE deletes a name", message(question(ZONE, SOA), opcode=5, authority=[record("www." + ZONE, ANY, rdclass=ANY)])),
            ("UPDATE with a condition of type ANY, CVE-2009-0696", message(
                question(ZONE, SOA), opcode=5, answer=[record(ZONE, ANY, b"\1\2\3\4", rdclass=IN)])),
            ("UPDATE without a zone", message(opcode=5, authority=[new])),
            ("UPDATE, rdata past the end", message(question(ZONE, SOA), opcode=5, authority=[new[:-2]]))):
        check_all(daemon, wire, NOTIMP, what)
    check_rcode(ask(daemon, "added." + ZONE), "NXDOMAIN")
    check_rcode(ask(daemon, "www." + ZONE), "NOERROR")
    check_equal(ask(daemon, ZONE, "SOA").answer, before, "SOA afterwards")


def test_transfers(case, daemon):
    """RFC 5936 2.2.1, 1995: AXFR and IXFR are REFUSED, of our zones and of others, over UDP as well."""
    soa = record(ZONE, SOA, wire_name("ns1." + ZONE) + wire_name("h." + ZONE) + bytes(20))
    for name in (ZONE, "www." + ZONE, "elsewhere.test", "."):
        for rdtype in (AXFR, IXFR):
            for authority in ([], [soa]):
                wanted = question(name, rdtype)
                for answer in expect(daemon, message(wanted, authority=authority), REFUSED, f"type {rdtype} of {name}"):
                    check_equal((answer.question, answer.aa), (wanted, False), f"type {rdtype} of {name}")


def test_counts(case, daemon):
    """RFC 9619: QDCOUNT 1 or FORMERR; and a count that promises what is not there is FORMERR."""
    for what, wire in (("no question", message()), ("two", message(WWW, WWW)), ("two, one there", message(WWW, counts={0: 2})),
                       ("65535", message(WWW, counts={0: 65535})), ("65535, 100 there", message(*[WWW] * 100, counts={0: 65535})),
                       ("none, one there", message(WWW, counts={0: 0})), ("one, none there", message(counts={0: 1}))):
        check_all(daemon, wire, FORMERR, f"QDCOUNT {what}")
    for section in (1, 2, 3):
        for count in (1, 2, 255, 65535):
            check_all(daemon, message(WWW, counts={section: count}), FORMERR, f"count {section} says {count}")
            if count > 1:
                more = {("answer", "authority", "additional")[section - 1]: [record("x.test", A, bytes(4))]}
                check_all(daemon, message(WWW, counts={section: count}, **more), FORMERR, f"count {section} says {count}, one is there")


def test_header_flags(case, daemon):
    """RD is copied; AA, TC, RA, Z, AD, CD and RCODE of a query mean nothing and are cleared (RFC 4035 3.1.6)."""
    want = Answer(over_udp(daemon, message(WWW))).sections
    for flags in [1 << bit for bit in range(11)] + [0x7ff, 0x70f, AD | CD, RD | CD, TC | AA]:
        for answer in expect(daemon, message(WWW, flags=flags), NOERROR, f"flags {flags:04x}"):
            check_equal((answer.flags & 0x7ff, answer.sections), (AA | flags & RD, want), f"answer to flags {flags:04x}")


def test_trailing(case, daemon):
    """Bytes behind the message are ignored, whatever they are; ARCOUNT 0 before an OPT means there is none."""
    for tail in (b"\0", b"\xff" * 40, WWW, opt(), message(WWW)):
        for answer in expect(daemon, message(WWW, tail=tail), NOERROR, f"{len(tail)} bytes behind"):
            check_equal(len(answer.sections[0]), 1, "records")
    check_all(daemon, message(WWW, additional=[opt()], tail=b"\0\0"), NOERROR, "bytes behind OPT", has_opt=True)


def test_largest(case, daemon):
    """The largest request that TCP and TLS can carry, full of records or of one option, is answered."""
    records = [record(b"\xc0\x0c", A, bytes(4))] * ((65535 - 12 - len(WWW) - 11) // 16)
    wire = message(WWW, answer=records, additional=[opt()])
    room = 65535 - 12 - len(WWW) - 11 - 4
    for send in (over_tcp, over_tls):
        answer = Answer(send(daemon, wire))
        check_equal((answer.rcode, answer.opt is not None, len(answer.sections[0])), (NOERROR, True, 1),
                    f"answer to {len(wire)} bytes")
        answer = Answer(send(daemon, message(WWW, additional=[opt(options=option(65001, bytes(room)))])))
        check_equal((answer.rcode, answer.opt is not None), (NOERROR, True), "answer to an option that fills the message")
    # Over UDP nobody may send us more than the 1,232 bytes we say: what is longer arrives cut.
    answer = Answer(over_udp(daemon, message(WWW, additional=[opt(options=option(65001, bytes(15000)))])))
    check_equal(answer.rcode, FORMERR, "rcode of 15,000 bytes over UDP")
    owner = (b"\x3f" + b"o" * 63) * 3 + b"\x3d" + b"o" * 61 + b"\0"
    check_equal(len(owner), 255, "length of the owner")
    wire = message(WWW, answer=[record(owner, A)] * ((65535 - 12 - len(WWW)) // 265))
    for send in (over_tcp, over_tls):
        check_equal(Answer(send(daemon, wire)).rcode, NOERROR, "rcode of a query full of long owners")


# --- question: RFC 1035 3.1, 4.1.4; 4343; 6895 ---

def test_classes(case, daemon):
    """IN only: REFUSED for every other class, meta classes included; CH has names of its own."""
    for rdclass in (0, 2, CH, HS, 5, 128, 253, NONE, 255, 256, 32768, 65279, 65280, 65535):
        for name in ("www." + ZONE, ZONE, "."):
            for rdtype in (A, SOA, ANY):
                for answer in expect(daemon, message(question(name, rdtype, rdclass)), REFUSED, f"{name} of class {rdclass}"):
                    check_equal((answer.aa, answer.question), (False, question(name, rdtype, rdclass)), f"class {rdclass}")


def rcode_of_type(rdtype):
    """Meta types that are no question, transfers, and those of RFC 1035 that nobody has done."""
    if rdtype in (0, OPT, TKEY, TSIG):
        return FORMERR
    if rdtype in (IXFR, AXFR):
        return REFUSED
    return NOTIMP if rdtype in (MAILA, MAILB) else NOERROR


def test_every_type(case, daemon):
    """All 65,536 types of a name that exists, and of a delegation; RFC 3597: unknown ones are NODATA."""
    for name, step, answered in (("www." + ZONE, 1, (A, ANY)), ("sub." + ZONE, 61, ()), ("x.wild." + ZONE, 59, (A, ANY)),
                                 ("x.old." + ZONE, 67, None), ("alias." + ZONE, 71, None), ("db.de." + ZONE, 73, (A, ANY))):
        types = sorted({*range(0, 300), *range(300, 65536, step), 65535})
        # Over TLS, whose every answer this client has to decrypt, one of a hundred of those that nobody knows.
        with Tcp(daemon.addr) as tcp:
            for at in range(0, len(types), 250):
                group = types[at:at + 250]
                tcp.send(*(message(question(name, rdtype), ident=rdtype) for rdtype in group))
                same = {rdtype: None for rdtype in group if rdtype < 300 or rdtype % 100 == 35}
                daemon.tls.send(*(message(question(name, rdtype), ident=rdtype) for rdtype in same))
                for rdtype in group:
                    wire = tcp.receive()
                    answer = Answer(wire)
                    if rdtype in same:
                        got = daemon.tls.receive()
                        check(got == wire or "db.de" in name, f"{name} type {rdtype}: another answer over TLS")
                    check_equal((answer.ident, answer.question), (rdtype, question(name, rdtype)), "id and question")
                    rcodes = (rcode_of_type(rdtype), NXDOMAIN) if "old" in name else (rcode_of_type(rdtype),)
                    check(answer.rcode in rcodes, f"{name} type {rdtype}: rcode {answer.rcode}, want {rcodes}")
                    if answered is not None and answer.rcode == NOERROR:
                        check_equal(bool(answer.sections[0]), rdtype in answered, f"{name} type {rdtype}: is there an answer")
    for rdtype in range(0, 65536, 97):
        answer = Answer(over_udp(daemon, message(question("www." + ZONE, rdtype))))
        check_equal(answer.rcode, rcode_of_type(rdtype), f"type {rdtype} over UDP")


def test_label_lengths(case, daemon):
    """Labels of 1 to 63 bytes, names up to 255 with the root; a byte more is FORMERR."""
    suffix = wire_name(ZONE)
    for length in range(1, 64):
        check_all(daemon, message(bytes([length]) + b"a" * length + suffix + b"\0\1\0\1"), NXDOMAIN, f"label of {length}")
    for first in (64, 65, 127, 128, 191):
        check_all(daemon, message(bytes([first]) + b"a" * first + suffix + b"\0\1\0\1"), FORMERR, f"label that begins with {first}")
    for total in (253, 254, 255, 256, 257):
        left = total - len(suffix)
        name = b""
        while left:
            take = 64 if left > 65 else min(left, 63) if left == 65 else left
            name += bytes([take - 1]) + b"b" * (take - 1)
            left -= take
        name += suffix
        check_equal(len(name), total, "length made")
        for answer in expect(daemon, message(name + b"\0\1\0\1"), NXDOMAIN if total <= 255 else FORMERR, f"name of {total}"):
            check_equal(answer.question, name + b"\0\1\0\1" if total <= 255 else b"", f"question of {total} bytes back")
    check_all(daemon, message(b"\1a" * 127 + b"\0\0\1\0\1"), REFUSED, "127 labels")
    check_all(daemon, message(b"\1a" * 128 + b"\0\0\1\0\1"), FORMERR, "128 labels")


def test_binary(case, daemon):
    """RFC 2181 11: any byte may stand in a label, and only ASCII letters have no case (RFC 4343)."""
    binary = b"\x0abin\0\xff.ary"
    binary = bytes([len(binary) - 1]) + binary[1:]
    for name in (binary, binary.upper()):
        for answer in expect(daemon, message(name + wire_name(ZONE) + b"\0\1\0\1"), NOERROR, "a name of all bytes"):
            check_equal([r.rdata for r in answer.sections[0]], [b"\xc0\0\2\x4e"], "its address")
    for byte in range(256):
        label = bytes([3, byte, 0, 255 - byte])
        wanted = label + wire_name(ZONE) + b"\0\1\0\1"
        answer = Answer(over_udp(daemon, message(wanted)))
        check_equal((answer.rcode, answer.question), (NXDOMAIN, wanted), f"label with byte {byte}")
    for first, second in ((b"@", b"`"), (b"[", b"{"), (b"\\", b"|"), (b"]", b"}"), (b"^", b"~"), (b"\xc1", b"\xe1")):
        check(first != second and Answer(over_udp(daemon, message(b"\3ww" + second + wire_name(ZONE) + b"\0\1\0\1"))).rcode == NXDOMAIN,
              f"{first} is no {second}")


def test_pointers(case, daemon):
    """The question is the first name of a message, so a pointer in it can lead nowhere good: FORMERR, at once."""
    for what, name in (("itself", b"\xc0\x0c"), ("the header", b"\xc0\x00"), ("its type", b"\xc0\x0e"), ("far away", b"\xff\xff"),
                       ("the end", b"\xc0\x12"), ("itself behind a label", b"\3www\xc0\x0c"), ("the middle", b"\3www\xc0\x0d"),
                       ("half of one", b"\3www\xc0")):
        check_all(daemon, message(name + b"\0\1\0\1"), FORMERR, f"pointer to {what}")
    # Behind the question names are stepped over and no pointer is ever followed: loops cost nothing.
    base = 12 + len(WWW)
    for what, owner in (("itself", struct.pack(">H", 0xc000 | base)), ("forward", struct.pack(">H", 0xc000 | base + 40)),
                        ("the question", b"\xc0\x0c"), ("the header", b"\xc0\x00"), ("far away", b"\xff\xff")):
        check_all(daemon, message(WWW, additional=[record(owner, A, bytes(4)), opt()]), NOERROR, f"owner that points to {what}",
                  has_opt=True)
    chain = [record(struct.pack(">H", 0xc000 | base + 12 * i), A) for i in range(1, 2000)]
    check_all(daemon, message(WWW, answer=chain[:100], additional=[opt()]), NOERROR, "a chain of pointers forward", has_opt=True)


def test_case_kept(case, daemon):
    """0x20: the question comes back bit by bit, and owners are it or point to it."""
    for _ in range(100):
        name = "".join(case.random.choice((c.lower(), c.upper())) for c in f"www2.mixed.{ZONE}")
        for answer in expect(daemon, message(question(name)), NOERROR, name):
            check_equal(answer.question, question(name), f"question of {name}")
            check_equal(answer.wire[12 + len(answer.question):][:2], b"\xc0\x0c", f"owner in the answer to {name}")
        name = "".join(case.random.choice((c.lower(), c.upper())) for c in f"db.de.{ZONE}")
        check_equal(Answer(over_udp(daemon, message(question(name)))).question, question(name), name)


# --- what a query may carry besides ---

def test_signed_queries(case, daemon):
    """TSIG, SIG(0) and TKEY, well-formed and not: nobody has a key here, so they are stepped over; TKEY is no question."""
    algorithm = wire_name("hmac-sha256")
    good = algorithm + struct.pack(">HIHH", 0, 1700000000, 300, 32) + bytes(32) + struct.pack(">HHH", 0x4242, 0, 0)
    sig = struct.pack(">HBBIIIH", 0, 8, 0, 0, 0x7fffffff, 0, 1) + wire_name("key.test") + bytes(64)
    for what, additional in (
            ("TSIG", [record("key.test", TSIG, good, rdclass=ANY)]), ("TSIG of class IN", [record("key.test", TSIG, good)]),
            ("TSIG with a TTL", [record("key.test", TSIG, good, rdclass=ANY, ttl=1)]),
            ("TSIG without data", [record("key.test", TSIG, b"", rdclass=ANY)]),
            ("TSIG cut", [record("key.test", TSIG, good[:20], rdclass=ANY)]),
            ("TSIG of the root, MAC size a lie", [record(".", TSIG, algorithm + b"\xff" * 16, rdclass=ANY)]),
            ("TSIG of a bad algorithm name", [record("key.test", TSIG, b"\xff" * 40, rdclass=ANY)]),
            ("two TSIGs", [record("key.test", TSIG, good, rdclass=ANY)] * 2),
            ("TSIG and SIG(0)", [record("key.test", TSIG, good, rdclass=ANY), record(".", SIG, sig)]),
            ("SIG(0)", [record(".", SIG, sig, rdclass=ANY)]), ("ten SIG(0)", [record(".", SIG, sig, rdclass=ANY)] * 10),
            ("TKEY", [record("key.test", TKEY, algorithm + bytes(14), rdclass=ANY)])):
        check_all(daemon, message(WWW, additional=additional), NOERROR, what)
        check_all(daemon, message(WWW, additional=[opt()] + additional), NOERROR, what + " behind OPT", has_opt=True)
        check_all(daemon, message(question("key.test", TKEY, ANY), additional=additional), FORMERR, "TKEY with " + what)
    check_all(daemon, message(question("key.test", TKEY), answer=[record("key.test", TKEY, bytes(20))]), FORMERR, "TKEY, CVE-2015-5477")


# --- RFC 8906 section 8, question by question ---

SOA_OF_ZONE = question(ZONE, SOA)


def is_soa(answer):
    return [(r.owner, r.type) for r in answer.sections[0]] == [(ZONE.encode(), SOA)]


def test_rfc8906_basic(case, daemon):
    """8.1: the zone, an unknown type, CD, AD, the reserved bit, RD, an unknown opcode, TCP; without EDNS."""
    for what, flags in (("plain", 0), ("CD", CD), ("AD", AD), ("reserved", Z), ("RD", RD)):
        for answer in expect(daemon, message(SOA_OF_ZONE, flags=flags), NOERROR, what):
            check(is_soa(answer) and answer.aa, f"{what}: SOA, AA")
            check_equal(answer.flags & (RD | AD | Z | RA), flags & RD, f"{what}: flags")
    for answer in expect(daemon, message(question(ZONE, 1000)), NOERROR, "type 1000"):
        check_equal((answer.sections[0], answer.aa, [r.type for r in answer.sections[1]]), ([], True, [SOA]), "type 1000")
    for answer in expect(daemon, message(opcode=15), NOTIMP, "opcode 15"):
        check_equal((answer.wire[4:], answer.aa), (bytes(8), False), "sections and AA of opcode 15")


def test_rfc8906_edns(case, daemon):
    """8.2: EDNS, version 1, unknown options and flags, both versions, DO, a truncated answer, several known options."""
    many = b"".join((option(3), option(9), subnet(1, 0, "")))
    for what, record_, rcode, flags in (
            ("minimal", opt(size=4096), NOERROR, 0), ("version 1", opt(version=1), BADVERS, 0),
            ("option 100", opt(options=option(100)), NOERROR, 0), ("flag 0x40", opt(flags=0x40), NOERROR, 0),
            ("version 1, flag 0x40", opt(version=1, flags=0x40), BADVERS, 0),
            ("version 1, option 100", opt(version=1, options=option(100)), BADVERS, 0),
            ("DO", opt(flags=DO), NOERROR, DO), ("version 1, DO", opt(version=1, flags=DO), BADVERS, DO),
            ("several options", opt(options=many), NOERROR, 0)):
        for answer in expect(daemon, message(SOA_OF_ZONE, additional=[record_]), rcode, what, has_opt=True):
            check_equal((is_soa(answer), answer.opt.flags), (rcode == NOERROR, flags), f"{what}: SOA and flags")
            check(100 not in dict(answer.opt.options), f"{what}: option 100 came back")
    answer = Answer(over_udp(daemon, message(question(f"n1500.{ZONE}", TXT), additional=[opt(size=512, flags=DO)])))
    check_equal((answer.rcode, answer.tc, answer.opt.version, answer.opt.flags), (NOERROR, True, 0, DO), "a truncated answer")


# --- records in answers ---

def test_ns_and_ds_types(case, daemon):
    """A delegation: NS with AA clear for everything but DS, which is the parent's (RFC 4035 3.1.4.1)."""
    for rdtype, aa in ((A, False), (NS, False), (SOA, False), (DS, True), (ANY, False)):
        for answer in expect(daemon, message(question("sub." + ZONE, rdtype)), NOERROR, f"type {rdtype} of a delegation"):
            check_equal((answer.aa, answer.sections[0]), (aa, []), f"type {rdtype} of a delegation")
            check_equal([r.type for r in answer.sections[1]], [SOA] if aa else [NS], f"authority for type {rdtype}")


def test_compressed_types(case, daemon):
    """RFC 3597 4: names inside records are compressed for the types of RFC 1035; a SRV is written out (RFC 2782)."""
    whole = wire_name("www." + ZONE)
    for answer in expect(daemon, message(question("srv." + ZONE, SRV)), NOERROR, "SRV"):
        check_equal([r.rdata[6:] for r in answer.sections[0]], [whole], "target of the SRV")
    for answer in expect(daemon, message(question("mx." + ZONE, MX)), NOERROR, "MX"):
        check_equal([r.rdata[2:-2] for r in answer.sections[0]], [whole[:4]], "host of the MX before its pointer")


def test_every_cut(case, daemon):
    """Each request of this file's kinds, cut after every byte: an answer with the id, or silence under a header."""
    whole = message(question("db.local." + ZONE), answer=[record("x.test", A, bytes(4))],
                    additional=[opt(options=subnet(1, 24, "c00002") + option(19))])
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        for length in range(12, len(whole)):
            sock.send(whole[:length])
            answer = Answer(sock.recv(65535))
            check_equal((answer.ident, answer.rcode), (0x4242, FORMERR), f"answer to the first {length} bytes")
        sock.send(whole)
        check_equal(Answer(sock.recv(65535)).rcode, NOERROR, "rcode of the whole")
    for length in range(12, len(whole)):
        for send in (over_tcp, over_tls):
            answer = Answer(send(daemon, whole[:length]))
            check_equal((answer.ident, answer.rcode), (0x4242, FORMERR), f"answer to the first {length} bytes in a frame")
