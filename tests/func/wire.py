"""Requests byte by byte, right and wrong ones, and answers taken apart without a library that knows better.

    message(question("www.clamav.test"), additional=[opt(options=option(3))])
    answer = Answer(bytes)    .rcode .aa .tc .question .sections[0..2] .opt
"""
import collections
import struct

from harness import check, check_equal

A, NS, CNAME, SOA, TXT, AAAA, OPT, DS = 1, 2, 5, 6, 16, 28, 41, 43
SIG, TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY = 24, 249, 250, 251, 252, 253, 254, 255
IN, CH, HS, NONE = 1, 3, 4, 254
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10
DO = 0x8000
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16

Record = collections.namedtuple("Record", "owner type rdclass ttl rdata")
Opt = collections.namedtuple("Opt", "size version flags options")


def wire_name(text):
    """Of a name without escapes; bytes are taken as they are."""
    if isinstance(text, bytes):
        return text
    return b"".join(bytes([len(label)]) + label.encode() for label in text.strip(".").split(".") if label) + b"\0"


def question(name, rdtype=A, rdclass=IN):
    return wire_name(name) + struct.pack(">HH", rdtype, rdclass)


def record(owner, rdtype, rdata=b"", rdclass=IN, ttl=0):
    return wire_name(owner) + struct.pack(">HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata


def option(code, data=b""):
    return struct.pack(">HH", code, len(data)) + data


def opt(size=1232, version=0, flags=0, options=b"", owner=b"\0", rcode=0):
    return owner + struct.pack(">HHBBHH", OPT, size, rcode, version, flags, len(options)) + options


def message(*questions, flags=0, opcode=0, answer=(), authority=(), additional=(), counts=None, ident=0x4242, tail=b""):
    """counts: what the header says of the four sections, when that is not the truth."""
    sections = (questions, answer, authority, additional)
    said = [len(section) for section in sections]
    for at, count in (counts or {}).items():
        said[at] = count
    return struct.pack(">6H", ident, flags | opcode << 11, *said) + b"".join(map(b"".join, sections)) + tail


def read_name(wire, at):
    """(the name in lower case, where it ends); a pointer must lead back."""
    labels, end, limit = [], None, at
    while True:
        check(at < len(wire), "a name runs out of the message")
        length = wire[at]
        if length >= 0xc0:
            end = end or at + 2
            at = struct.unpack(">H", wire[at:at + 2])[0] & 0x3fff
            check(at < limit, f"a pointer from {limit} to {at}")
            limit = at
            continue
        check(length < 64, f"label type {length >> 6}")
        at += 1
        if length == 0:
            return b".".join(labels).lower(), end or at
        labels.append(wire[at:at + length])
        at += length


class Answer:
    """A response. Failure when it is not one that any parser would take."""

    def __init__(self, wire):
        self.wire = wire
        check(len(wire) >= 12, f"a response of {len(wire)} bytes")
        self.ident, self.flags, *counts = struct.unpack(">6H", wire[:12])
        check(self.flags & QR, "QR is not set")
        at = 12
        for _ in range(counts[0]):
            _, at = read_name(wire, at)
            at += 4
        self.question = wire[12:at]
        self.sections = []
        self.opt = None
        rcode_high = 0
        for section, count in enumerate(counts[1:]):
            self.sections.append([])
            for _ in range(count):
                owner, at = read_name(wire, at)
                rdtype, rdclass, ttl, length = struct.unpack(">HHIH", wire[at:at + 10])
                rdata = wire[at + 10:at + 10 + length]
                check_equal(len(rdata), length, "bytes of RDATA")
                at += 10 + length
                if rdtype == OPT:
                    check(section == 2 and owner == b"" and self.opt is None, "one OPT, of the root, in the third section")
                    rcode_high = ttl >> 24
                    self.opt = Opt(rdclass, ttl >> 16 & 255, ttl & 65535, read_options(rdata))
                else:
                    self.sections[-1].append(Record(owner, rdtype, rdclass, ttl, rdata))
        check_equal(at, len(wire), "length by its records")
        self.rcode = self.flags & 15 | rcode_high << 4
        self.aa = bool(self.flags & AA)
        self.tc = bool(self.flags & TC)
        self.records_n = sum(map(len, self.sections))


def read_options(rdata):
    found = []
    while rdata:
        code, length = struct.unpack(">HH", rdata[:4])
        check(len(rdata) >= 4 + length, "an option runs out of its OPT")
        found.append((code, rdata[4:4 + length]))
        rdata = rdata[4 + length:]
    return found
