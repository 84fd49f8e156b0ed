"""Requests nobody should send: each gets the answer that RFCs and good sense ask for, or none."""
import re
import struct

from harness import (Lookups, TCP, Tcp, ask, check, check_equal, check_rcode, exchange_udp, make_query, open_socket,
                     parse_answer, rcode_of, socket)

import dns.message
import dns.rcode

QUESTION = bytes.fromhex("0377777706636c616d6176047465737400" "0001" "0001")  # www.clamav.test A IN
OPT = bytes.fromhex("00" "0029" "04d0" "00000000" "0000")


def setup(case):
    return case.daemon(case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"])]))


def header(flags=0, qd=1, an=0, ns=0, ar=0, ident=0x4242):
    return struct.pack(">6H", ident, flags, qd, an, ns, ar)


def parse_any(wire):
    """The message; as a QUERY, because the library knows few opcodes."""
    return dns.message.from_wire(wire[:2] + bytes([wire[2] & 0x87]) + wire[3:])


def over_udp(daemon, wire):
    """The answer, or None when there is none.

    A question that does get an answer is sent behind it on the same socket: where that comes first, the other was
    dropped. No waiting for nothing.
    """
    probe = make_query("www.clamav.test", "A")
    probe.id = 0x0101
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        sock.send(wire)
        sock.send(probe.to_wire())
        got = [sock.recv(65535)]
        if got[0][:2] == b"\x01\x01":
            return None
        check_equal(sock.recv(65535)[:2], b"\x01\x01", "id of the answer to what was asked next")
        return got[0]


def over_tcp(daemon, wire):
    probe = make_query("www.clamav.test", "A")
    probe.id = 0x0101
    with Tcp(daemon.addr) as tcp:
        tcp.send(wire, probe.to_wire())
        try:
            first = tcp.receive()
        except (EOFError, ConnectionError):
            return None
        return None if first[:2] == b"\x01\x01" else first


def expect(daemon, wire, rcode, what, question=True, counter=None):
    """This rcode over UDP and TCP, in a well-formed answer that echoes id, opcode, RD and the question."""
    for transport, send in (("udp", over_udp), ("tcp", over_tcp)):
        before = daemon.counters()
        answer = send(daemon, wire)
        check(answer is not None, f"{what}: no answer over {transport}")
        check_equal(answer[:2], wire[:2], f"{what}: id over {transport}")
        check_equal(answer[2] & 0xf9, wire[2] & 0x79 | 0x80, f"{what}: QR, opcode, RD over {transport}")
        message = parse_any(answer)
        check_equal(rcode_of(message), rcode, f"{what}: rcode over {transport}")
        check_equal(len(message.answer) + len(message.authority), 0, f"{what}: records over {transport}")
        if question:
            check_equal(answer[4:6] + answer[12:12 + len(QUESTION)], b"\x00\x01" + QUESTION,
                        f"{what}: question over {transport}")
        if counter:
            moved = {f"queries_{transport}": 2, counter: 1, "noerror": 1}
            if transport == "tcp":
                moved["tcp_accepted"] = 1
            daemon.check_moved(before, moved, f"{what} over {transport}")


def expect_nothing(daemon, wire, what, counter):
    for transport, send in (("udp", over_udp), ("tcp", over_tcp)):
        before = daemon.counters()
        check_equal(send(daemon, wire), None, f"{what}: answer over {transport}")
        after = daemon.counters()
        check_equal(after[counter] - before[counter], 1, f"{what}: counter {counter} over {transport}")


def test_short(case, daemon):
    """Too short for a header: nothing."""
    for length in range(1, 12):
        before = daemon.counters()
        check_equal(over_udp(daemon, header()[:length]), None, f"answer to {length} bytes")
        daemon.check_moved(before, {"queries_udp": 2, "dropped_short": 1, "noerror": 1}, f"{length} bytes")
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        sock.send(b"")  # no bytes at all
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")


def test_response(case, daemon):
    """QR=1: nothing, whatever else it says; else two servers could talk for ever (CVE-2012-0206 of a peer)."""
    for flags in (0x8000, 0x8180, 0x8400, 0x8583, 0xa800, 0xffff):
        expect_nothing(daemon, header(flags) + QUESTION, f"flags {flags:04x}", "dropped_response")
    # Our own answer, sent back to us.
    answer = ask(daemon, "www.clamav.test").raw
    check_equal(over_udp(daemon, answer), None, "answer to an answer")


def test_opcodes(case, daemon):
    """NOTIMP for every opcode but QUERY, with and without a question."""
    for opcode in range(1, 16):
        expect(daemon, header(opcode << 11) + QUESTION, "NOTIMP", f"opcode {opcode}", question=False, counter="notimp")
    expect(daemon, header(2 << 11, qd=0), "NOTIMP", "STATUS without a question", question=False, counter="notimp")
    expect(daemon, header(5 << 11, qd=1, an=2, ns=3) + b"\xff" * 40, "NOTIMP", "UPDATE of garbage", question=False)


def test_qdcount(case, daemon):
    """RFC 9619: exactly one question."""
    expect(daemon, header(qd=0), "FORMERR", "QDCOUNT 0", question=False, counter="formerr")
    expect(daemon, header(qd=2) + QUESTION * 2, "FORMERR", "QDCOUNT 2", question=False, counter="formerr")
    expect(daemon, header(qd=65535) + QUESTION, "FORMERR", "QDCOUNT 65535", question=False, counter="formerr")
    expect(daemon, header(qd=1), "FORMERR", "QDCOUNT 1 and no question", question=False, counter="formerr")


def test_bad_question(case, daemon):
    """A name that is none, or a question that is cut."""
    for what, question in (("cut after the name", QUESTION[:-4]), ("cut in the type", QUESTION[:-3]),
                           ("cut in the class", QUESTION[:-1]), ("cut in a label", QUESTION[:7]),
                           ("pointer", b"\xc0\x0c\x00\x01\x00\x01"), ("pointer to itself", b"\x03www\xc0\x0c\0\1\0\1"),
                           ("label type 01", b"\x41a\0\0\1\0\1"), ("label type 10", b"\x81a\0\0\1\0\1"),
                           ("257 bytes", b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1"),
                           ("256 bytes", (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0\0\1\0\1"),
                           ("200 labels", b"\1a" * 200 + b"\0\0\1\0\1")):
        expect(daemon, header() + question, "FORMERR", what, question=False, counter="formerr")


def test_types_and_classes(case, daemon):
    """Types that are no types of data, and classes we have nothing of."""
    for rdtype, rcode in ((0, "FORMERR"), (41, "FORMERR"), (249, "FORMERR"), (250, "FORMERR"), (251, "REFUSED"),
                          (252, "REFUSED"), (253, "NOTIMP"), (254, "NOTIMP")):
        for transport in (over_udp, over_tcp):
            answer = transport(daemon, header() + QUESTION[:-4] + struct.pack(">HH", rdtype, 1))
            check_equal(answer[3] & 15, dns.rcode.from_text(rcode), f"rcode for type {rdtype}")
    for rdtype in range(256, 65536, 251):
        answer = over_udp(daemon, header() + QUESTION[:-4] + struct.pack(">HH", rdtype, 1))
        check_equal(answer[3] & 15, 0, f"rcode for type {rdtype}")
    for rdclass in (0, 2, 3, 4, 254, 255, 65535):
        answer = over_udp(daemon, header() + QUESTION[:-2] + struct.pack(">H", rdclass))
        check_equal(answer[3] & 15, 5, f"rcode for class {rdclass}")


def test_no_edns(case, daemon):
    """Without OPT: none in the answer, 512 bytes at most (ask() and parse_answer() see to that everywhere)."""
    message = ask(daemon, "www.clamav.test")
    check_equal(message.edns, -1, "EDNS version in the answer")
    before = daemon.counters()
    message = ask(daemon, "www.clamav.test", edns=1232)
    check_equal((message.edns, message.payload, message.ednsflags), (0, 1232, 0), "EDNS of the answer")
    daemon.check_moved(before, {"queries_udp": 1, "noerror": 1, "edns": 1}, "a query with EDNS")
    message = ask(daemon, "www.clamav.test", edns=1232, do=True)
    check_equal(message.ednsflags, 0x8000, "DO is copied (RFC 3225)")
    # RFC 6891 6.2.3: less than 512 counts as 512.
    for size in (0, 1, 100, 511):
        check_rcode(ask(daemon, "www.clamav.test", edns=size), "NOERROR")


def test_badvers(case, daemon):
    """EDNS version over 0: BADVERS, with our version 0."""
    for version in (1, 2, 255):
        wire = header(ar=1) + QUESTION + OPT[:6] + bytes([version]) + OPT[7:]
        for send in (over_udp, over_tcp):
            answer = dns.message.from_wire(send(daemon, wire))
            check_equal((rcode_of(answer), answer.edns), ("BADVERS", 0), f"answer to EDNS version {version}")
            check_equal(len(answer.answer), 0, "records")
    # Options of a version we don't know may look different.
    wire = header(ar=1) + QUESTION + bytes.fromhex("00" "0029" "04d0" "00010000" "0003" "ffffff")
    check_equal(rcode_of(dns.message.from_wire(over_udp(daemon, wire))), "BADVERS", "with options")


def test_bad_opt(case, daemon):
    """OPT twice, in the wrong place, not at the root, cut, with cut options: FORMERR."""
    cases = (
        ("two OPTs", header(ar=2) + QUESTION + OPT * 2),
        ("OPT among the answers", header(an=1) + QUESTION + OPT),
        ("OPT with an owner", header(ar=1) + QUESTION + b"\1a" + OPT),
        ("OPT cut", header(ar=1) + QUESTION + OPT[:-1]),
        ("OPT missing", header(ar=1) + QUESTION),
        ("RDLEN past the end", header(ar=1) + QUESTION + OPT[:-2] + b"\0\5ab"),
        ("option cut", header(ar=1) + QUESTION + OPT[:-2] + b"\0\3\0\x0a\0"),
        ("option too long", header(ar=1) + QUESTION + OPT[:-2] + b"\0\5\0\x0a\0\2a"),
        ("ARCOUNT 65535", header(ar=65535) + QUESTION + OPT),
        ("record cut", header(ar=1) + QUESTION + b"\xc0\x0c\0\1\0\1"),
    )
    for what, wire in cases:
        expect(daemon, wire, "FORMERR", what, question=True)


def test_unknown_options(case, daemon):
    """Options we don't know are ignored: NSID, cookie, padding, and many of them."""
    for options in (b"\0\3\0\0", b"\0\x0a\0\x08abcdefgh", b"\0\x0c\1\0" + bytes(256), b"\xff\xff\0\2ab" * 100,
                    b"\0\x0a\0\x08abcdefgh" * 2):
        wire = header(ar=1) + QUESTION + OPT[:-2] + struct.pack(">H", len(options)) + options
        for send in (over_udp, over_tcp):
            message = parse_answer(wire, send(daemon, wire), 1232)
            check_rcode(message, "NOERROR")


def test_other_records(case, daemon):
    """Records in a query besides OPT are stepped over; what stands behind the message is ignored or FORMERR."""
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\1\2\3\4"
    wire = header(an=1, ns=1, ar=2) + QUESTION + record * 3 + OPT
    check_rcode(parse_answer(wire, over_udp(daemon, wire), 1232), "NOERROR")
    answer = over_udp(daemon, header() + QUESTION + b"trailing")
    check(answer[3] & 15 in (0, 1), f"rcode {answer[3] & 15} with bytes behind the message")
    # TSIG: no key is known here.
    tsig = b"\1k\0" + struct.pack(">HHIH", 250, 255, 0, 26) + b"\x0bhmac-sha256\0" + bytes(13)
    answer = over_udp(daemon, header(ar=1) + QUESTION + tsig)
    check(answer is None or answer[3] & 15 in (0, 1, 9), "rcode of a query with TSIG")


def test_flags(case, daemon):
    """RD is echoed, RA never set; AA, TC, RA, AD, CD and Z in a query mean nothing."""
    for flags in (0x0100, 0x0010, 0x0020, 0x0040, 0x0080, 0x0200, 0x0400, 0x07f0, 0x000f):
        answer = over_udp(daemon, header(flags) + QUESTION)
        got = struct.unpack(">H", answer[2:4])[0]
        check_equal(got & ~0x0010, 0x8400 | flags & 0x0100, f"flags in the answer to {flags:04x}")


def test_garbage(case, daemon):
    """2,000 damaged requests: never a crash, never a malformed or over-long answer."""
    random = case.random
    seeds = [header() + QUESTION, header(ar=1) + QUESTION + OPT,
             make_query("db.local.clamav.test", "AAAA", ecs="2001:db8::/56").to_wire(),
             make_query("a.b.c.d.e.f.g.ping.clamav.test", "A", edns=4096).to_wire()]
    with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
        for i in range(2000):
            wire = bytearray(random.choice(seeds))
            wire[2] &= 0x7f
            kind = i % 4
            if kind == 0:
                wire = bytearray(random.randbytes(random.randint(12, 600)))
            elif kind == 1:
                for _ in range(random.randint(1, 4)):
                    wire[random.randrange(2, len(wire))] = random.randrange(256)
            elif kind == 2:
                wire = wire[:random.randrange(12, len(wire) + 1)]
            else:
                at = random.randrange(12, len(wire))
                wire[at:at] = random.randbytes(random.randint(1, 300))
            wire[0:2] = struct.pack(">H", i + 0x100)
            sock.send(wire)
            if wire[2] & 0x80:
                continue  # no answer to a response
            answer = sock.recv(65535)
            check_equal(answer[:2], bytes(wire[:2]), "id")
            check(len(answer) <= 1232, f"{len(answer)} bytes in answer to {wire.hex()}")
            parse_any(answer)
    check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")


def test_root(case, daemon):
    """The root and a single label as QNAME."""
    with Lookups(daemon.addr) as lookups:
        for name in (".", "a", "test", "*"):
            check_rcode(lookups.ask(name, "ANY"), "REFUSED", aa=False)
            check_rcode(lookups.ask(name, "NS", edns=1232), "REFUSED", aa=False)
    check_rcode(ask(daemon, ".", "SOA", transport=TCP), "REFUSED", aa=False)


def test_source_port_zero_like(case, daemon):
    """An answer nobody waits for any more does no harm: the port it would go to is closed."""
    wire = make_query("www.clamav.test", "A").to_wire()
    for _ in range(50):
        with open_socket(daemon.addr, socket.SOCK_DGRAM) as sock:
            sock.send(wire)
    check(exchange_udp(daemon.addr, wire), "no answer afterwards")


def test_not_logged(case, daemon):
    """What comes from the network is counted by kind, and says nothing in the log: a reload beside it logs what one without it logs."""
    def without_figures(lines):
        return [re.sub(r"\d+", "N", line) for line in lines]
    before = daemon.counters()
    quiet = without_figures(daemon.reload())
    bad = [header()[:7], header(0x8000) + QUESTION, header(2 << 11) + QUESTION, header(qd=0), header() + QUESTION[:-3],
           header() + QUESTION[:-2] + b"\0\3", header(ar=2) + QUESTION + OPT * 2,
           header(ar=1) + QUESTION + OPT[:6] + b"\1" + OPT[7:], header() + case.random.randbytes(100)]
    rounds = 10
    mark = daemon.log.mark()
    for _ in range(rounds):
        for wire in bad:
            over_udp(daemon, wire)
            over_tcp(daemon, wire)
        with Tcp(daemon.addr) as tcp:
            tcp.send_raw(b"\0\0")
            check(tcp.is_closed(5), "not closed after a length of 0")
        with Tcp(daemon.addr) as tcp:
            tcp.send_raw(b"GET / HTTP/1.1\r\n\r\n")
    daemon.reload()
    check_equal(without_figures(daemon.log.since(mark)), quiet, "the log of a reload beside malformed messages")
    after = daemon.counters()
    moved = {name: after[name] - before[name] for name in after}
    check_equal([moved[name] for name in ("dropped_short", "dropped_response", "notimp", "badvers", "tcp_bad_frames")],
                [n * rounds for n in (2, 2, 2, 2, 2)], "messages counted by kind")
    check_equal(moved["formerr"] + moved["refused"], 10 * rounds, "answers to the others")
