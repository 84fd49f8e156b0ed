"""Names of zone files, by the book: RFC 1034 4.3.2, 2181, 2308, 4592, 6672, 8020, 8482, 9471."""
import dns.rdatatype

from harness import (TCP, UDP, addresses, ask, check, check_equal, check_negative, check_rcode, is_aa, is_tc,
                     make_query, rcode_of, records)

LONG = ".".join(["l" * 60] * 3)  # 183 bytes on the wire

ZONE = f"""$ORIGIN example.test.
$TTL 1h
@	SOA	ns1 hostmaster 7 2h 15m 2w 5m
@	NS	ns1
@	NS	ns2
@	A	192.0.2.1
@	MX	10 mail
@	TXT	"apex"
@	CAA	0 issue "ca.example"
ns1	A	192.0.2.2
ns1	AAAA	2001:db8::2
ns2	A	192.0.2.3
mail	A	192.0.2.4

host	A	192.0.2.10
host	AAAA	2001:db8::10
MiXeD.CaSe	A	192.0.2.11
mx	MX	10 mail
mx	MX	20 MAIL2
mail2	A	192.0.2.5

www	CNAME	host
chain1	CNAME	chain2
chain2	CNAME	chain3
chain3	CNAME	host
out	CNAME	www.elsewhere.example.
dead	CNAME	no-such-name
dead2	CNAME	no-such-name.host
empty	CNAME	b.ent
loop1	CNAME	loop2
loop2	CNAME	loop1
tocut	CNAME	x.sub

a.b.ent	TXT	"deep"

*.wild	A	192.0.2.77
*.wild	TXT	"any"
host.wild	A	192.0.2.78
a.ent.wild	TXT	"below an empty non-terminal"
*.cwild	CNAME	host
*	TXT	"whatever has no name of its own"

sub	NS	ns.sub
sub	NS	ns.other.example.
ns.sub	A	192.0.2.90
ns.sub	AAAA	2001:db8::90
signed	NS	ns.sub
signed	DS	12345 8 2 {"ab" * 32}
child	NS	ns1.child
child	DS	54321 8 2 {"cd" * 32}
ns1.child	A	192.0.2.91

old	DNAME	new
host.new	A	192.0.2.20
deep1	DNAME	deep2
deep2	DNAME	new
dloop	DNAME	x.dloop2
dloop2	DNAME	x.dloop
long	DNAME	{LONG}

strange	TYPE65400 \\# 4 01020304
strange	TYPE65401 ( \\# 2
		abcd )
"""

TYPES = {  # the text as it is written, and as an answer gives it
    "SRV": "0 5 5060 host.example.test.",
    "PTR": "host.example.test.",
    "NAPTR": '100 10 "u" "sip+E2U" "!^.*$!sip:info@example.test!" .',
    "SSHFP": "1 1 123456789abcdef67890123456789abcdef67890",
    "TLSA": "3 1 1 " + "0d" * 32,
    "CAA": '0 iodef "mailto:security@example.test"',
    "HINFO": '"PDP-11" "UNIX"',
    "RP": "admin.example.test. txt.example.test.",
    "AFSDB": "1 host.example.test.",
    "LOC": "60 9 0.000 N 24 39 0.000 E 10.00m 20.00m 2000.00m 20.00m",
    "CERT": "PGP 0 0 MTIzNA==",
    "SPF": '"v=spf1 -all"',
    "URI": '10 1 "https://example.test/"',
    "OPENPGPKEY": "MTIzNA==",
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
}

MANY = "".join(f'many\tTXT\t"{i:02} {"x" * 40}"\n' for i in range(30))
MANY += "".join(f"manymx\tMX\t{i} mx{i}\nmx{i}\tA\t192.0.2.{i}\nmx{i}\tAAAA\t2001:db8::{i}\n" for i in range(1, 17))
MANY += "".join(f"bigcut\tNS\tns{i}.bigcut\nns{i}.bigcut\tA\t198.51.100.{i}\nns{i}.bigcut\tAAAA\t2001:db8:1::{i}\n"
                for i in range(1, 14))

CHILD = """$ORIGIN child.example.test.
@	60	SOA	ns1 hostmaster 1 2h 15m 2w 15m
@	60	NS	ns1
ns1	60	A	192.0.2.91
www	60	A	192.0.2.92
"""


def setup(case):
    site = case.site()
    types = "".join(f"t-{kind.lower()}\t{kind}\t{text}\n" for kind, text in TYPES.items())
    site.write("example.zone", ZONE + types + MANY)
    site.write("child.zone", CHILD)
    site.conf([site.zone("example.test", "example.zone"), site.zone("child.example.test", "child.zone")])
    return case.daemon(site)


def want(daemon, name, rdtype, expected, aa=True):
    """The answer section of name, whose owner is left out of expected where it is the name itself."""
    answer = ask(daemon, name, rdtype)
    check_rcode(answer, "NOERROR", aa)
    expected = [record if len(record) == 4 else (name + ".",) + record for record in expected]
    check_equal(sorted(records(answer.answer)), sorted(expected), f"{name} {rdtype}")
    return answer


def nodata(daemon, name, rdtype="A"):
    check_negative(ask(daemon, name, rdtype), "NOERROR", "example.test.", 300)


def nxdomain(daemon, name, rdtype="A"):
    check_negative(ask(daemon, name, rdtype), "NXDOMAIN", "example.test.", 300)


def test_positive(case, daemon):
    """Records of the name, with AA and their TTL."""
    want(daemon, "host.example.test", "A", [(3600, "A", "192.0.2.10")])
    want(daemon, "host.example.test", "AAAA", [(3600, "AAAA", "2001:db8::10")])
    want(daemon, "example.test", "NS",
         [(3600, "NS", "ns1.example.test."), (3600, "NS", "ns2.example.test.")])
    want(daemon, "example.test", "SOA",
         [(3600, "SOA", "ns1.example.test. hostmaster.example.test. 7 7200 900 1209600 300")])
    want(daemon, "example.test", "MX", [(3600, "MX", "10 mail.example.test.")])
    want(daemon, "www.child.example.test", "A", [(60, "A", "192.0.2.92")])


def test_types(case, daemon):
    """Any type that can be written comes back as it was written."""
    for kind, text in TYPES.items():
        answer = ask(daemon, f"t-{kind.lower()}.example.test", kind)
        check_rcode(answer, "NOERROR")
        got = [(rdtype, data) for _, _, rdtype, data in records(answer.answer)]
        if kind == "LOC":
            check_equal([rdtype for rdtype, _ in got], ["LOC"], "types in the answer to LOC")
        elif kind == "CERT":
            check(got[0][1].endswith("0 0 MTIzNA=="), str(got))
        else:
            check_equal(got, [(kind, text)], f"answer to {kind}")


def test_unknown_types(case, daemon):
    """RFC 3597: types nobody has heard of, in the zone and in questions."""
    for kind, data in ((65400, "01020304"), (65401, "abcd")):
        answer = ask(daemon, "strange.example.test", f"TYPE{kind}")
        check_rcode(answer, "NOERROR")
        got = [rdata.to_generic().data.hex() for rrset in answer.answer for rdata in rrset]
        check_equal((len(answer.answer), got), (1, [data]), f"TYPE{kind}")
    nodata(daemon, "strange.example.test", "TYPE65402")
    nodata(daemon, "host.example.test", "TYPE65400")
    nodata(daemon, "host.example.test", "TYPE65535")
    nxdomain(daemon, "a.host.example.test", "TYPE65534")


def test_nodata_nxdomain(case, daemon):
    """RFC 2308: the SOA, at the lower of its own TTL and its minimum field."""
    nodata(daemon, "host.example.test", "MX")
    nodata(daemon, "example.test", "AAAA")
    nxdomain(daemon, "below.host.example.test")
    nxdomain(daemon, "a.b.c.d.host.example.test", "TXT")
    check_negative(ask(daemon, "child.example.test", "A"), "NOERROR", "child.example.test.", 60)
    check_negative(ask(daemon, "no.child.example.test", "A"), "NXDOMAIN", "child.example.test.", 60)


def test_empty_non_terminal(case, daemon):
    """RFC 8020: a name that only has names below it exists."""
    nodata(daemon, "ent.example.test")
    nodata(daemon, "b.ent.example.test", "TXT")
    nodata(daemon, "case.example.test")
    want(daemon, "a.b.ent.example.test", "TXT", [(3600, "TXT", '"deep"')])
    nxdomain(daemon, "c.ent.example.test")
    nxdomain(daemon, "x.b.ent.example.test")


def test_wildcard(case, daemon):
    """RFC 4592: the wildcard of the closest encloser, and only that."""
    want(daemon, "x.wild.example.test", "A", [(3600, "A", "192.0.2.77")])
    want(daemon, "a.b.c.wild.example.test", "A", [(3600, "A", "192.0.2.77")])
    want(daemon, "x.wild.example.test", "TXT", [(3600, "TXT", '"any"')])
    want(daemon, "*.wild.example.test", "A", [(3600, "A", "192.0.2.77")])
    nodata(daemon, "x.wild.example.test", "AAAA")
    nodata(daemon, "wild.example.test")
    # A name that exists takes no part in it, nor do names below such a name.
    want(daemon, "host.wild.example.test", "A", [(3600, "A", "192.0.2.78")])
    nodata(daemon, "host.wild.example.test", "TXT")
    nxdomain(daemon, "x.host.wild.example.test")
    nodata(daemon, "ent.wild.example.test", "TXT")
    nxdomain(daemon, "x.ent.wild.example.test")
    # The one at the apex is for names whose closest encloser is the apex.
    want(daemon, "nowhere.example.test", "TXT", [(3600, "TXT", '"whatever has no name of its own"')])
    want(daemon, "a.b.nowhere.example.test", "TXT", [(3600, "TXT", '"whatever has no name of its own"')])
    nodata(daemon, "nowhere.example.test", "A")


def test_wildcard_cname(case, daemon):
    """A wildcard CNAME, owned by the name that was asked."""
    want(daemon, "x.y.cwild.example.test", "A",
         [(3600, "CNAME", "host.example.test."), ("host.example.test.", 3600, "A", "192.0.2.10")])
    want(daemon, "x.cwild.example.test", "CNAME", [(3600, "CNAME", "host.example.test.")])


def test_cname(case, daemon):
    """Chains inside the zone are followed, and stop where the zone does."""
    host = ("host.example.test.", 3600, "A", "192.0.2.10")
    answer = want(daemon, "www.example.test", "A", [(3600, "CNAME", "host.example.test."), host])
    check_equal(records(answer.answer)[0][2], "CNAME", "what comes first")
    answer = want(daemon, "chain1.example.test", "A",
                  [(3600, "CNAME", "chain2.example.test."),
                   ("chain2.example.test.", 3600, "CNAME", "chain3.example.test."),
                   ("chain3.example.test.", 3600, "CNAME", "host.example.test."), host])
    check_equal([owner for owner, *_ in records(answer.answer)],
                ["chain1.example.test.", "chain2.example.test.", "chain3.example.test.", "host.example.test."],
                "order of the chain")
    want(daemon, "www.example.test", "CNAME", [(3600, "CNAME", "host.example.test.")])
    answer = want(daemon, "out.example.test", "A", [(3600, "CNAME", "www.elsewhere.example.")])
    answer = want(daemon, "www.example.test", "MX", [(3600, "CNAME", "host.example.test.")])
    check_equal([(o, t, k) for o, t, k, _ in records(answer.authority)], [("example.test.", 300, "SOA")],
                "authority of a chain to NODATA")
    answer = want(daemon, "empty.example.test", "A", [(3600, "CNAME", "b.ent.example.test.")])
    check_equal([kind for _, _, kind, _ in records(answer.authority)], ["SOA"], "authority of a chain to an ENT")


def test_cname_nowhere(case, daemon):
    """The rcode is that of the chain's end."""
    answer = ask(daemon, "dead.example.test", "TXT")
    check_rcode(answer, "NOERROR")
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["CNAME", "TXT"], "chain that ends at a wildcard")
    answer = ask(daemon, "dead2.example.test", "TXT")
    check_rcode(answer, "NXDOMAIN")
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["CNAME"], "chain that ends nowhere")
    check_equal([(o, t, k) for o, t, k, _ in records(answer.authority)], [("example.test.", 300, "SOA")], "authority")


def test_cname_to_cut(case, daemon):
    """A chain that leads into a delegation."""
    answer = ask(daemon, "tocut.example.test", "A")
    check_rcode(answer, "NOERROR")
    check_equal(records(answer.answer), [("tocut.example.test.", 3600, "CNAME", "x.sub.example.test.")], "answer")


def test_loops(case, daemon):
    """CNAME and DNAME loops end, soon, with an answer."""
    for name in ("loop1", "loop2", "x.dloop", "a.b.dloop2"):
        answer = ask(daemon, f"{name}.example.test", transport=TCP)
        check(rcode_of(answer) in ("NOERROR", "SERVFAIL", "YXDOMAIN"), f"{name}: {rcode_of(answer)}")
        check(len(answer.raw) < 4096, f"{name}: {len(answer.raw)} bytes")


def test_delegation(case, daemon):
    """Names at and below a cut: NS and glue, AA clear, whatever the type."""
    servers = [("sub.example.test.", 3600, "NS", "ns.other.example."),
               ("sub.example.test.", 3600, "NS", "ns.sub.example.test.")]
    glue = [("ns.sub.example.test.", 3600, "A", "192.0.2.90"), ("ns.sub.example.test.", 3600, "AAAA", "2001:db8::90")]
    for name in ("sub", "x.sub", "a.b.c.sub", "ns.sub", "*.sub"):
        for rdtype in ("A", "NS", "SOA", "TXT", "ANY"):
            answer = ask(daemon, f"{name}.example.test", rdtype)
            what = f"{name}.example.test {rdtype}"
            check_rcode(answer, "NOERROR", aa=False)
            check_equal(records(answer.answer), [], f"answer section of {what}")
            check_equal(sorted(records(answer.authority)), servers, f"authority section of {what}")
            check_equal(sorted(records(answer.additional)), glue, f"additional section of {what}")


def test_ds(case, daemon):
    """DS is the parent's: at a cut, and where the child is served beside it."""
    nodata(daemon, "sub.example.test", "DS")
    answer = ask(daemon, "signed.example.test", "DS")
    check_rcode(answer, "NOERROR")
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["DS"], "DS of a delegation")
    answer = ask(daemon, "child.example.test", "DS")
    check_rcode(answer, "NOERROR")
    check_equal(records(answer.answer), [("child.example.test.", 3600, "DS", "54321 8 2 " + "cd" * 32)], "DS of child")
    answer = ask(daemon, "x.sub.example.test", "DS")
    check_rcode(answer, "NOERROR", aa=False)
    check_negative(ask(daemon, "example.test", "DS"), "NOERROR", "example.test.", 300)


def test_two_zones(case, daemon):
    """The longest match: the child's own data with AA, no referral to ourselves."""
    answer = ask(daemon, "child.example.test", "SOA")
    check_rcode(answer, "NOERROR")
    check_equal(records(answer.answer)[0][:3], ("child.example.test.", 60, "SOA"), "SOA of the child")
    want(daemon, "child.example.test", "NS", [(60, "NS", "ns1.child.example.test.")])
    want(daemon, "ns1.child.example.test", "A", [(60, "A", "192.0.2.91")])


def test_dname(case, daemon):
    """RFC 6672: the DNAME, a CNAME made of it with its TTL, then the target; not for the owner itself."""
    want(daemon, "host.old.example.test", "A",
         [("old.example.test.", 3600, "DNAME", "new.example.test."), (3600, "CNAME", "host.new.example.test."),
          ("host.new.example.test.", 3600, "A", "192.0.2.20")])
    nodata(daemon, "old.example.test", "A")
    want(daemon, "old.example.test", "DNAME", [(3600, "DNAME", "new.example.test.")])
    answer = ask(daemon, "gone.old.example.test", "A")
    check_rcode(answer, "NXDOMAIN")
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["DNAME", "CNAME"], "DNAME to nowhere")
    check_equal([kind for _, _, kind, _ in records(answer.authority)], ["SOA"], "its authority section")


def test_dname_chain(case, daemon):
    """A DNAME that leads under another one is applied again."""
    answer = ask(daemon, "host.deep1.example.test", "A")
    check_rcode(answer, "NOERROR")
    check_equal([(owner, kind) for owner, _, kind, _ in records(answer.answer)],
                [("deep1.example.test.", "DNAME"), ("host.deep1.example.test.", "CNAME"),
                 ("deep2.example.test.", "DNAME"), ("host.deep2.example.test.", "CNAME"),
                 ("host.new.example.test.", "A")], "chain of two DNAMEs")


def test_dname_too_long(case, daemon):
    """A target over 255 bytes: YXDOMAIN with the DNAME that led there."""
    answer = ask(daemon, f"{'p' * 60}.long.example.test")
    check_equal(rcode_of(answer), "YXDOMAIN", "rcode")
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["DNAME"], "answer section")
    answer = ask(daemon, "p.long.example.test", "TXT")  # fits; the wildcard at the apex answers
    check_equal([kind for _, _, kind, _ in records(answer.answer)], ["DNAME", "CNAME", "TXT"], "one that fits")


def test_any(case, daemon):
    """RFC 8482: one RRset at most, never the whole name."""
    for name in ("example.test", "host.example.test", "x.wild.example.test", "www.example.test"):
        answer = ask(daemon, name, "ANY")
        check_rcode(answer, "NOERROR")
        check_equal(len({kind for _, _, kind, _ in records(answer.answer)}), 1, f"types for ANY of {name}")
        check(len(answer.raw) < 512, f"{len(answer.raw)} bytes for ANY of {name}")
    nodata(daemon, "ent.example.test", "ANY")
    nxdomain(daemon, "x.host.example.test", "ANY")


def test_case(case, daemon):
    """Names compare without case; the question comes back as it was sent."""
    for name in ("HOST.EXAMPLE.TEST", "hOsT.eXaMpLe.TeSt", "mixed.case.example.test", "MiXeD.cAsE.example.test"):
        answer = ask(daemon, name)  # ask() compares the question byte by byte
        check_rcode(answer, "NOERROR")
        check_equal(answer.answer[0].name.to_text(), name + ".", "owner in the answer")
    check_negative(ask(daemon, "x.HOST.Example.test"), "NXDOMAIN", "example.test.", 300)
    answer = ask(daemon, "X.OLD.Example.Test")
    check_equal(records(answer.answer)[1][3][:2], "X.", "first label of the synthesized CNAME's target")


def test_refused(case, daemon):
    """Outside every zone, and classes other than IN."""
    for name in ("", "test", "elsewhere.test", "xexample.test", "example.test.elsewhere", "example.tes"):
        for rdtype in ("A", "NS", "SOA", "ANY"):
            answer = ask(daemon, name, rdtype)
            check_rcode(answer, "REFUSED", aa=False)
            check_equal(records(answer.answer) + records(answer.authority), [], f"sections of {name}")
    for rdtype in ("AXFR", "IXFR"):
        check_rcode(ask(daemon, "example.test", rdtype, transport=TCP), "REFUSED", aa=False)


def test_long_names(case, daemon):
    """Names of 255 bytes and of 127 labels."""
    room = 255 - len("example.test.") - 1
    longest = ".".join(["a"] * 114) + ".example.test"  # 127 labels would need the root zone; this is 242 bytes
    check_rcode(ask(daemon, longest, "TXT"), "NOERROR")
    labels = [("b" * 63)] * 3
    last = room - sum(len(label) + 1 for label in labels) - 1
    name = ".".join(labels + ["c" * last]) + ".example.test"
    check_equal(len(make_query(name, "TXT").question[0].name.to_wire()), 255, "length of the name")
    check_rcode(ask(daemon, name, "TXT"), "NOERROR")
    check_rcode(ask(daemon, ".".join(["a"] * 127), "TXT"), "REFUSED", aa=False)


def test_compression(case, daemon):
    """Names are compressed: no answer is longer than a known good library makes it."""
    for name, rdtype in (("example.test", "NS"), ("mx.example.test", "MX"), ("chain1.example.test", "A"),
                         ("x.sub.example.test", "A"), ("host.deep1.example.test", "A"), ("no.host.example.test", "A"),
                         ("x.y.wild.example.test", "AAAA"), ("example.test", "SOA")):
        answer = ask(daemon, name, rdtype)
        again = answer.to_wire()
        check(len(answer.raw) <= len(again), f"{name} {rdtype}: {len(answer.raw)} bytes, {len(again)} suffice")


def test_truncation(case, daemon):
    """RFC 2181 9 and 9471: TC when something required did not fit, and only then."""
    before = daemon.counters()
    for size in (None, 512, 1000, 1232, 4096, 65535):  # 30 strings of 43: over our own 1232 too
        check(is_tc(ask(daemon, "many.example.test", "TXT", edns=size)), f"TC with EDNS size {size}")
    daemon.check_moved(before, {"queries_udp": 6, "edns": 5, "noerror": 6, "truncated": 6}, "six answers with TC")
    whole = ask(daemon, "many.example.test", "TXT", transport=TCP)
    check(not is_tc(whole), "TC over TCP")
    check_equal(len(records(whole.answer)), 30, "records over TCP")

    # What is merely helpful may be missing without TC.
    answer = ask(daemon, "manymx.example.test", "MX")
    check(not is_tc(answer), "TC for want of addresses of the MX")
    check_equal(len(records(answer.answer)), 16, "MX records")

    # Glue inside the delegation is not merely helpful.
    answer = ask(daemon, "x.bigcut.example.test", "A")
    check(is_tc(answer), "TC of a referral whose glue does not fit")
    answer = ask(daemon, "x.bigcut.example.test", "A", transport=TCP)
    check(not is_tc(answer), "TC over TCP")
    check_equal((len(records(answer.authority)), len(records(answer.additional))), (13, 26), "NS and glue over TCP")
    check(not is_tc(ask(daemon, "x.sub.example.test", "A")), "TC of a referral that fits")


def test_transports_agree(case, daemon):
    """The same bytes over UDP and TCP, for all kinds of answers."""
    names = ["example.test", "host.example.test", "chain1.example.test", "x.wild.example.test", "x.sub.example.test",
             "host.deep1.example.test", "no.host.example.test", "ent.example.test", "child.example.test", "other.test"]
    for name in names:
        for rdtype in ("A", "NS", "SOA", "MX", "DS", "TYPE65400"):
            got = {ask(daemon, name, rdtype, transport=transport).raw[2:] for transport in (UDP, TCP)}
            check_equal(len(got), 1, f"different answers to {name} {rdtype}")


def test_counters(case, daemon):
    """Each kind of answer moves its counter."""
    for counter, name, rdtype in (("noerror", "host.example.test", "A"), ("noerror", "host.example.test", "MX"),
                                  ("noerror", "x.sub.example.test", "A"), ("nxdomain", "x.host.example.test", "A"),
                                  ("nxdomain", "gone.old.example.test", "A"), ("refused", "other.test", "A"),
                                  ("notimp", "example.test", "MAILB")):
        before = daemon.counters()
        ask(daemon, name, rdtype)
        daemon.check_moved(before, {"queries_udp": 1, counter: 1}, f"{name} {rdtype}")
