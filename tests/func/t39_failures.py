"""What has broken other servers (docs/failures.md), where no other test shows that it cannot break this one."""
import os
import resource
import struct
import time

from harness import (CONTROL, DNSD, POOL_NAMES, STATE, TCP, Tcp, addresses, ask, check, check_equal, check_negative, check_rcode,
                     check_within, cpu_s, is_sanitized, make_query, mirrors_text, rcode_of, records, run, socket, wait_until)
from t35_packets import over_udp
from wire import A, DO, FORMERR, MAILB, NOERROR, Answer, message, opt, option, question, record

LINKS = 40
TYPES = range(1000, 3000)
ZONE_TEXT = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250

*.wild	A	192.0.2.77
*.wild	MX	5 mail.wild
*.wild	MX	6 *.wild
mail.wild	A	192.0.2.78
star	CNAME	*.wild
stars	CNAME	x.*.wild
nostar	CNAME	*.nothing
*.cwild	CNAME	www
*.dead	CNAME	gone.www
*.self	CNAME	a.self
mx	MX	5 *.wild
txt	TXT	"*" "*.wild.clamav.test"
dstar	DNAME	*.wild
dwild	DNAME	wild

cut	NS	ns.cut
cut	NS	ns.elsewhere.test.
cut	NS	ns.other
ns.cut	A	192.0.2.90
other	NS	ns.cut
lame	NS	ns.elsewhere.test.
deep.lame2	NS	ns.cut
dnamed	DNAME	cut
aliased	CNAME	x.cut
""" + "".join(f"c{i}\tCNAME\tc{i + 1}\n" for i in range(LINKS)) + f"c{LINKS}\tA\t192.0.2.99\n" \
    + "".join(f"d{i}\tDNAME\td{i + 1}\n" for i in range(LINKS)) + f"x.d{LINKS}\tA\t192.0.2.98\n" \
    + "".join(f"types\tTYPE{rdtype}\t\\# 2 {rdtype:04x}\n" for rdtype in TYPES) \
    + "".join(f"large\tA\t10.0.{i // 256}.{i % 256}\n" for i in range(3000)) \
    + "".join(f"mail\tMX\t{i} m{i}\nm{i}\tA\t10.1.{i // 256}.{i % 256}\n" for i in range(1000))


def setup(case):
    return case.daemon(case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"])], zone_text=ZONE_TEXT))


def name(label):
    return f"{label}.clamav.test"


def seconds_for(daemon, wire, n):
    """What 20 times n answers cost, on one connection."""
    with Tcp(daemon.addr) as tcp:
        before = cpu_s(daemon)
        for _ in range(20):
            tcp.send(*[wire] * n)
            for _ in range(n):
                tcp.receive()
        return cpu_s(daemon) - before


def kinds(message_):
    return [kind for _, _, kind, _ in records(message_.answer)]


def test_long_chains(case, daemon):
    """15. Chains of 40 links, by CNAME and by DNAME: a part of them, NOERROR, and the client can go on from there."""
    for left in ("c", "x.d"):
        at, answers = 0, 0
        while at < LINKS:
            answer = ask(daemon, name(f"{left}{at}"), transport=TCP)
            check_rcode(answer, "NOERROR")
            check(len(answer.raw) < 2000, f"{len(answer.raw)} bytes for {left}{at}")
            links = kinds(answer).count("CNAME")
            check(0 < links <= 17, f"{links} links in the answer to {left}{at}")
            at += links
            answers += 1
        check_equal(kinds(answer)[-1], "A", f"last record of the chain {left}")
        check(answers <= 3, f"{answers} answers for {LINKS} links")
    # The bound is one of work too: a chain takes no longer than any other answer.
    wires = [make_query(name(label), "A").to_wire() for label in ("c0", "x.d0", "www")]
    seconds = [seconds_for(daemon, wire, 50) for wire in wires]
    check(max(seconds) < 20 * seconds[2] + 1, f"1,000 answers in {seconds} s")


def test_star(case, daemon):
    """17. An asterisk in what a record says is a name like others, and the rcode is that of what it leads to."""
    for label, want, rcode in (("star", ["CNAME", "A"], "NOERROR"), ("stars", ["CNAME"], "NXDOMAIN"), ("nostar", ["CNAME"], "NXDOMAIN"),
                               ("x.cwild", ["CNAME", "A"], "NOERROR"), ("x.dead", ["CNAME"], "NXDOMAIN"),
                               ("b.dwild", ["DNAME", "CNAME", "A"], "NOERROR"), ("x.dstar", ["DNAME", "CNAME"], "NXDOMAIN")):
        answer = ask(daemon, name(label))
        check_equal((kinds(answer), rcode_of(answer)), (want, rcode), f"answer to {label}")
        check(rcode == "NOERROR" or kinds(answer)[-1] == "CNAME" and [k for _, _, k, _ in records(answer.authority)] == ["SOA"],
              f"SOA beside the NXDOMAIN of {label}")
    check_equal(kinds(ask(daemon, name("mx"), "MX")), ["MX"], "MX to an asterisk")
    check_equal([data for *_, data in records(ask(daemon, name("txt"), "TXT").answer)], ['"*" "*.wild.clamav.test"'], "TXT")
    answer = ask(daemon, name("a.self"))
    check_equal((kinds(answer), rcode_of(answer)), (["CNAME"], "NOERROR"), "a wildcard that leads into itself")
    # The other types of a name that a wildcard makes, and of the end of a chain: NODATA.
    for label in ("x.wild", "x.cwild", "star"):
        answer = ask(daemon, name(label), "AAAA")
        check_rcode(answer, "NOERROR")
        check_equal([k for _, _, k, _ in records(answer.authority)], ["SOA"], f"authority for AAAA of {label}")


def test_wildcard_with_addresses(case, daemon):
    """18. A wildcard whose record has addresses that go with it, for names of any length and both transports."""
    for label in ("x", "a.b.c", "y" * 63, ".".join(["z" * 60] * 3)):
        for transport in ("udp", TCP):
            answer = ask(daemon, name(f"{label}.wild"), "MX", transport=transport)
            check_equal(kinds(answer), ["MX", "MX"], f"MX of {label}.wild")
            check("192.0.2.78" in [data for *_, data in records(answer.additional)], f"address of the host of {label}.wild")


def test_odd_delegations(case, daemon):
    """18. Servers of a delegation without glue, below another delegation, below themselves; chains that lead into one."""
    for label, glue in (("x.cut", 1), ("cut", 1), ("other", 1), ("x.other", 1), ("lame", 0), ("x.y.lame", 0), ("a.deep.lame2", 1)):
        for rdtype in ("A", "NS", "ANY", "TYPE65535"):
            answer = ask(daemon, name(label), rdtype)
            check_rcode(answer, "NOERROR", aa=False)
            check(kinds(answer) == [] and answer.authority, f"referral of {label}")
            check_equal(len(records(answer.additional)), glue, f"glue of {label}")
    for label, want in (("x.dnamed", ["DNAME", "CNAME"]), ("aliased", ["CNAME"])):
        answer = ask(daemon, name(label))
        check_equal((kinds(answer), rcode_of(answer)), (want, "NOERROR"), f"a chain into a delegation, from {label}")


def test_many(case, daemon):
    """19. 2,000 types at a name, 3,000 records of a type, 1,000 hosts with addresses: each right, none slow."""
    with Tcp(daemon.addr) as tcp:
        for at in range(TYPES.start, TYPES.stop, 250):
            tcp.send(*(message(question(name("types"), rdtype), ident=rdtype) for rdtype in range(at, at + 250)))
            for rdtype in range(at, at + 250):
                answer = Answer(tcp.receive())
                check_equal([r.rdata for r in answer.sections[0]], [struct.pack(">H", rdtype)], f"type {rdtype}")
    check_equal(len(kinds(ask(daemon, name("types"), "ANY"))), 1, "records for ANY")
    answer = ask(daemon, name("large"), transport=TCP)
    check_equal(len(set(addresses(answer))), 3000, "addresses of large")
    answer = ask(daemon, name("mail"), "MX", transport=TCP)
    check_equal((len(records(answer.answer)), rcode_of(answer)), (1000, "NOERROR"), "MX of mail")
    seconds = {label: seconds_for(daemon, make_query(name(label), "AAAA").to_wire(), 100) for label in ("www", "types", "mail")}
    check(max(seconds.values()) < 5 * seconds["www"] + 1, f"2,000 NODATA answers in {seconds} s")


def test_too_many(case, _daemon):
    """35. A record set that no message can hold is refused with its place, not cut and not served."""
    site = case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"])],
                                 zone_text=ZONE_TEXT + "".join(f"huge\tA\t10.2.{i // 256}.{i % 256}\n" for i in range(6000)))
    status, text = run([DNSD, "-t", "-c", site.path])
    check_equal(status, 1, f"exit status of dnsd -t: {text}")
    check("huge.clamav.test" in text and "clamav.zone" in text, text)


def test_costly_packets(case, daemon):
    """3. The largest messages of the most awkward records: the time they take is that of reading them once."""
    base = message(question(name("www")))

    def fill(piece, section="answer"):
        return message(question(name("www")), **{section: [piece] * ((65535 - len(base)) // len(piece))})
    owner = (b"\x3f" + b"o" * 63) * 3 + b"\x3d" + b"o" * 61 + b"\0"
    labels = b"\1a" * 127 + b"\0"
    wires = [fill(record(b"\xc0\x0c", A)), fill(record(owner, A)), fill(record(labels, A)),
             fill(record(struct.pack(">H", 0xc000 | len(base)), A)), fill(record(b"\0", A), section="authority"),
             message(question(name("www")), additional=[opt(options=option(65001) * 16000)]),
             message(counts={0: 65535}, tail=question(b"\0") * 13000),
             message(opcode=5, counts={0: 65535, 1: 65535}, tail=question(labels) * 250)]
    with Tcp(daemon.addr) as tcp:
        for wire in wires:
            check(50000 < len(wire) < 65536, f"a message of {len(wire)} bytes")
            before = cpu_s(daemon)
            for _ in range(50):
                tcp.send(wire)
                Answer(tcp.receive())
            seconds = cpu_s(daemon) - before
            check(seconds < (20 if is_sanitized() else 3), f"50 messages of {len(wire)} bytes took {seconds:.1f} s")
        tcp.send(base)
        check_equal(Answer(tcp.receive()).rcode, NOERROR, "rcode of a plain question afterwards")


def test_two_cookies(case, daemon):
    """Options twice, or in any order: whatever the answer is, it is whole (an option past the end in a peer)."""
    cookie = option(10, b"abcdefgh")
    for options in (cookie * 2, cookie + option(10, b"abcdefgh" * 3), option(3) * 2, cookie + option(3) + cookie + option(12, bytes(9)),
                    option(10) + option(10, bytes(41)), option(11) * 2, option(19) * 2):
        for questions in ([question(name("www"))], []):
            answer = Answer(over_udp(daemon, message(*questions, additional=[opt(options=options, flags=DO)])))
            check(answer.opt and answer.rcode in (NOERROR, FORMERR), f"rcode {answer.rcode} for options {options.hex()}")
    answer = Answer(over_udp(daemon, message(counts={0: 1}, additional=[opt(options=cookie * 2)])))
    check_equal(answer.rcode, FORMERR, "rcode of a question that is none but options")


def test_special_types_everywhere(case, daemon):
    """5. The types that broke others (0, DS, OPT, 128, 249 to 255, 65535) at a name of every kind."""
    labels = ("www", "x.wild", "star", "x.cwild", "b.dwild", "dwild", "cut", "x.cut", "nothing.www", "db.de", "db.local", "de",
              "x.ping", "c0", "types", "clamav.test")
    for label in labels:
        full = label if label == "clamav.test" else name(label)
        for rdtype in (0, 24, 25, 30, 41, 43, 46, 47, 50, 128, *range(249, 260), 32768, 65280, 65534, 65535):
            for extra in ([], [opt(flags=DO)]):
                answer = Answer(over_udp(daemon, message(question(full, rdtype), additional=extra)))
                check_equal(answer.question, question(full, rdtype), f"question of {full} type {rdtype}")
                check(answer.rcode in (0, 1, 3, 4, 5), f"{full} type {rdtype}: rcode {answer.rcode}")
                check(rdtype != MAILB or answer.rcode == 4, f"{full} type {rdtype}: rcode {answer.rcode}")
    check_rcode(ask(daemon, "clamav.test", "DS"), "NOERROR")


def test_several_zones(case, _daemon):
    """27. Pools in several zones, names with underscores: each answers, not only the first."""
    site = case.site()
    site.write("clamav.zone", "$TTL 1h\n@ SOA ns1 h 1 3h 30m 2w 5m\n@ NS ns1\nns1 A 192.0.2.251\n")
    site.write("mirrors.conf", mirrors_text([("m.de.example", "DE", ["198.51.100.1"]), ("m.fr.example", "FR", ["198.51.100.2"])]))
    site.write("regions.conf", "regions = ();\nneighbours = ();\n")
    odd = POOL_NAMES.replace('"database"', '"database", "_any._tcp", "all"').replace('"db.%c"', '"db.%c", "_db.%c"')
    site.conf([site.zone("one.test", pools=POOL_NAMES), site.zone("two.test", pools=odd), site.zone("sub.one.test", pools=odd),
               site.zone("plain.test")], [site.pool()])
    daemon = case.daemon(site)
    for zone in ("one.test", "two.test", "sub.one.test"):
        check_equal(addresses(ask(daemon, f"db.de.{zone}")), ["198.51.100.1"], f"db.de.{zone}")
        check_equal(addresses(ask(daemon, f"db.local.{zone}", ecs="127.3.0.0/24")), ["198.51.100.2"], f"db.local.{zone}, from France")
        check_negative(ask(daemon, f"de.{zone}"), "NOERROR", f"{zone}.", 300)
    for zone in ("two.test", "sub.one.test"):
        check_equal(len(addresses(ask(daemon, f"_any._tcp.{zone}"))), 2, f"_any._tcp.{zone}")
        check_equal(addresses(ask(daemon, f"_db.fr.{zone}")), ["198.51.100.2"], f"_db.fr.{zone}")
        check_negative(ask(daemon, f"_tcp.{zone}"), "NOERROR", f"{zone}.", 300)
    check_negative(ask(daemon, "db.de.plain.test"), "NXDOMAIN", "plain.test.", 300)


def check_idle(daemon, what):
    """It takes next to no time while nobody asks."""
    before = cpu_s(daemon)
    time.sleep(0.5)
    used = cpu_s(daemon) - before
    check(used < 0.25, f"{used:.2f} s of processor time in half a second, {what}")


def test_no_spin(case, _daemon):
    """32. Whatever clients leave behind, the threads rest when there is nothing to do, and a stop is quick."""
    site = case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"])], server='tcp-idle = "1m"; stop-drain = "1m";')
    daemon = case.daemon(site)
    wire = make_query(name("www"), "A").to_wire()
    kept = []
    for i in range(40):
        tcp = Tcp(daemon.addr)
        kept.append(tcp)
        if i % 5 == 0:
            tcp.send(wire)
            tcp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tcp.sock.close()
        elif i % 5 == 1:
            tcp.send(*[wire] * 10)
            tcp.sock.shutdown(socket.SHUT_WR)
        elif i % 5 == 2:
            tcp.sock.shutdown(socket.SHUT_RD)
            tcp.send(*[wire] * 10)
        elif i % 5 == 3:
            tcp.send_raw(b"\0\x40half")
        else:
            tcp.send_raw(b"\0")
            tcp.sock.shutdown(socket.SHUT_WR)
    check_rcode(ask(daemon, name("www"), transport=TCP), "NOERROR")
    check_idle(daemon, "with connections in every state")
    for tcp in kept:
        tcp.sock.close()
    wait_until(lambda: daemon.counters()["tcp_open"] == 0, "all connections are closed")
    check_idle(daemon, "with all of them gone")
    begin = time.monotonic()
    daemon.stop()  # which does not wait for stop-drain
    check_within(time.monotonic() - begin, 5, "a stop")


def test_no_descriptors(case, _daemon):
    """31. No file descriptor is left: UDP and the connections in hand are served, nothing spins, and it recovers."""
    site = case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"])], server=CONTROL + 'tcp-idle = "1m";')
    daemon = case.daemon(site)
    wire = make_query(name("www"), "A").to_wire()
    in_hand = Tcp(daemon.addr)
    in_hand.send(wire)
    in_hand.receive()
    soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    used = max(int(fd) for fd in os.listdir(f"/proc/{daemon.pid}/fd")) + 1
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used + 8, hard))
    operators = []
    crowd = [Tcp(daemon.addr) for _ in range(60)]  # the kernel takes them; the daemon can accept a few
    try:
        for _ in range(20):
            check_rcode(ask(daemon, name("www")), "NOERROR")
            in_hand.send(wire)
            check_equal(Answer(in_hand.receive()).rcode, NOERROR, "rcode on the connection in hand")
        check_idle(daemon, "without a descriptor left")
        # The control socket has no descriptor for its clients either; the main thread does the rest all the same.
        for _ in range(5):
            client = socket.socket(socket.AF_UNIX)
            client.connect(daemon.control)
            operators.append(client)
        check_idle(daemon, "with clients at the control socket")
        # A client that has just been sent away to make room leaves a descriptor free, and a reload needs but one.
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, hard))
        check("Too many open files" in " ".join(daemon.reload(fails=True)), "a reload cannot read its files, and says so")
    finally:
        for tcp in crowd:
            tcp.sock.close()
        for client in operators:
            client.close()
    check_rcode(ask(daemon, name("www")), "NOERROR")
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
    daemon.reload()

    def served():
        try:
            return rcode_of(ask(daemon, name("www"), transport=TCP)) == "NOERROR"
        except (EOFError, OSError):
            return False
    wait_until(served, "TCP is served again")
    in_hand.sock.close()


def test_no_pid_file(case, _daemon):
    """40. Nothing is written but what the configuration names: no PID file, and nothing through a symbolic link."""
    site = case.site().pool_site([("m.de.example", "DE", ["198.51.100.1"]), ("m.fr.example", "FR", ["198.51.100.2"])], server=STATE)
    site.folder_for("state")
    victim = site.write("victim", "as it was\n")
    kept = site.file("state/overrides.json")
    os.symlink(victim, kept)
    before = set(os.listdir(site.folder))
    daemon = case.daemon(site)
    daemon.ctl("mirror", "down", "m.de.example", "--reason", "disk")
    check_equal(addresses(ask(daemon, name("db.de"))), ["198.51.100.2"], "db.de")
    check_equal(set(os.listdir(site.folder)) - before, {"ctl.sock"}, "files beside the configuration while it runs")
    check(not os.path.islink(kept) and "m.de.example" in open(kept).read(), "the link gave way to a file with the override")
    daemon.stop()
    check_equal(set(os.listdir(site.folder)), before, "files beside the configuration afterwards")
    with open(victim) as file:
        check_equal(file.read(), "as it was\n", "the file that the symbolic link led to")
