"""Clients that people use: dig, kdig, drill, delv, and unbound as the resolver in front. Each must be installed."""
import os
import re
import shutil
import signal
import subprocess

from harness import DEADLINE_S, TCP, Output, addresses, ask, check, check_equal, free_port, run, wait_until
from t05_example import example
from tls_support import make_certificate, tls_addr, tls_keys

VERSION = r"1\.4\.3:62:27500:\d{10}:1:90:49192:335"


def setup(case):
    missing = [name for name in ("dig", "kdig", "drill", "delv", "unbound") if not shutil.which(name)]
    check(not missing, f"not installed: {' '.join(missing)}; scripts/setup.sh test installs them")
    site = example(case)
    make_certificate(site)
    with open(site.path) as file:
        site.write("dnsd.conf", file.read().replace("server: {", "server: { " + tls_keys(), 1))
    daemon = case.daemon(site)
    daemon.tls = tls_addr(daemon)
    daemon.ca = site.file("tls.crt")
    return daemon


def said(daemon, program, *words):
    """What the program prints of an answer from the daemon; it must not complain."""
    host, port = daemon.tls if "+tls" in words else daemon.addr
    server = ["-p", str(port), f"@{host}"]
    env = {name: value for name, value in os.environ.items() if name != "DIGRC"} | {"HOME": "/nonexistent", "LC_ALL": "C"}
    status, text = run([program, *server, *words], env=env)
    check_equal(status, 0, f"exit status of {program} {' '.join(words)}:\n{text}")
    return text


COMPLAINTS = ("Warning", "WARNING", ";; Got bad packet", "malformed", "mismatch", "Question section", "timed out", "no servers")


def dig(daemon, *words):
    text = said(daemon, "dig", "+tries=1", "+nocookie", "+qr", *words)
    query, _, text = text.partition("Got answer:") if "Got answer:" in text else text.partition(";; QUERY SIZE:")
    for complaint in COMPLAINTS:
        check(complaint not in text.replace("WARNING: recursion requested but not available", ""),
              f"dig {' '.join(words)} complains:\n{text}")
    return text


def status_of(text):
    match = re.search(r"(?:status|rcode): ([A-Z0-9]+)", text)
    check(match, f"no status in:\n{text}")
    return match[1]


def flags_of(text):
    return re.search(r";; [Ff]lags: ?([a-z ]*);", text)[1].split()


# --- dig ---

SOA = ("clamav.net", "SOA")
A_SOA = r"(?m)^clamav\.net\.\s.*\sSOA\s"
AN_OPT = r"; EDNS: version: 0, flags:[a-z ]*; udp: 1232"

# RFC 8906 section 8: (name, words of dig, status, flags, what the answer has, what it has not)
RFC8906 = [
    ("8.1.1 zone", ("+noedns", "+noad", "+norec", *SOA), "NOERROR", "qr aa", [A_SOA], ["EDNS"]),
    ("8.1.2 unknown type", ("+noedns", "+noad", "+norec", "clamav.net", "TYPE1000"), "NOERROR", "qr aa",
     ["ANSWER: 0, AUTHORITY: 1"], ["EDNS"]),
    ("8.1.3.1 CD", ("+noedns", "+noad", "+norec", "+cd", *SOA), "NOERROR", "qr aa", [A_SOA], ["EDNS"]),
    ("8.1.3.2 AD", ("+noedns", "+ad", "+norec", *SOA), "NOERROR", "qr aa", [A_SOA], ["EDNS"]),
    ("8.1.3.3 reserved bit", ("+noedns", "+noad", "+norec", "+zflag", *SOA), "NOERROR", "qr aa", [A_SOA], ["EDNS", "MBZ"]),
    ("8.1.3.4 RD", ("+noedns", "+noad", "+rec", *SOA), "NOERROR", "qr aa rd", [A_SOA], ["EDNS"]),
    ("8.1.4 unknown opcode", ("+noedns", "+noad", "+opcode=15", "+norec", "+header-only"), "NOTIMP", "qr",
     ["opcode: RESERVED15", "QUERY: 0, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0"], ["EDNS"]),
    ("8.1.5 TCP", ("+noedns", "+noad", "+norec", "+tcp", *SOA), "NOERROR", "qr aa", [A_SOA, r"\(TCP\)"], ["EDNS"]),
    ("8.2.1 EDNS", ("+edns=0", "+noad", "+norec", *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT], []),
    ("8.2.2 version 1", ("+edns=1", "+noednsneg", "+noad", "+norec", *SOA), "BADVERS", "qr", [AN_OPT], [A_SOA]),
    ("8.2.3 unknown option", ("+edns=0", "+noad", "+norec", "+ednsopt=100", *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT],
     ["OPT=100"]),
    ("8.2.4 unknown flag", ("+edns=0", "+noad", "+norec", "+ednsflags=0x40", *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT], ["MBZ"]),
    ("8.2.5 version 1, unknown flag", ("+edns=1", "+noednsneg", "+noad", "+norec", "+ednsflags=0x40", *SOA), "BADVERS", "qr",
     [AN_OPT], ["MBZ", A_SOA]),
    ("8.2.6 version 1, unknown option", ("+edns=1", "+noednsneg", "+noad", "+norec", "+ednsopt=100", *SOA), "BADVERS", "qr",
     [AN_OPT], ["OPT=100", A_SOA]),
    ("8.2.7 truncated", ("+norec", "+dnssec", "+bufsize=512", "+ignore", "db.us.big.clamav.net", "A"), "NOERROR", "qr aa tc",
     [r"; EDNS: version: 0, flags: do; udp: 1232"], []),
    ("8.2.8 DO", ("+edns=0", "+noad", "+norec", "+dnssec", *SOA), "NOERROR", "qr aa", [A_SOA, "flags: do; udp"], []),
    ("8.2.9 version 1, DO", ("+edns=1", "+noednsneg", "+noad", "+norec", "+dnssec", *SOA), "BADVERS", "qr",
     ["version: 0, flags: do; udp"], [A_SOA]),
    ("8.2.10 several options", ("+edns=0", "+noad", "+norec", "+cookie", "+nsid", "+expire", "+subnet=0.0.0.0/0", *SOA), "NOERROR",
     "qr aa", [A_SOA, AN_OPT, r"CLIENT-SUBNET: 0(\.0\.0\.0)?/0/0"], []),
]


def check_dig(daemon, what, words, status, flags, has, has_not):
    text = dig(daemon, *words)
    check_equal((status_of(text), flags_of(text)), (status, flags.split()), f"{what}: dig {' '.join(words)}")
    for pattern in has:
        check(re.search(pattern, text), f"{what}: no /{pattern}/ in the answer to dig {' '.join(words)}:\n{text}")
    for pattern in has_not:
        check(not re.search(pattern, text), f"{what}: /{pattern}/ in the answer to dig {' '.join(words)}:\n{text}")


def test_rfc8906(case, daemon):
    """RFC 8906 section 8, as its authors write it for dig."""
    for row in RFC8906:
        check_dig(daemon, *row)


def test_dig_edns(case, daemon):
    """Versions, flags, options and sizes that dig can send."""
    for version in (1, 2, 100, 255):
        text = dig(daemon, f"+edns={version}", "+noednsneg", *SOA)
        check_equal((status_of(text), "version: 0" in text), ("BADVERS", True), f"+edns={version}")
        text = dig(daemon, f"+edns={version}", *SOA)  # dig goes down to the version that it is told
        check(re.search(A_SOA, text), f"+edns={version} with negotiation:\n{text}")
    for bit in range(15):
        check_dig(daemon, "a flag", ("+norec", f"+ednsflags={1 << bit:#x}", *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT], ["MBZ", "0x"])
    for option in ("0", "1:00", "2", "4:ffff", "5:08", "6:01", "7:01", "9", "13", "14:1234", "20", "65001:" + "ab" * 200, "65535:00"):
        check_dig(daemon, "an option", ("+norec", f"+ednsopt={option}", *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT],
                  [f"OPT={option.split(':')[0]}:"])
    for option in ("8:00", "8:00011800", "8:00012100c000020100"):
        check_equal(status_of(dig(daemon, f"+ednsopt={option}", *SOA)), "FORMERR", f"+ednsopt={option}")
    for size in (0, 511, 512, 1231, 1232, 4096, 65535):
        check_dig(daemon, "a size", ("+norec", f"+bufsize={size}", *SOA), "NOERROR", "qr aa", [A_SOA], [])
    for words in (("+nsid",), ("+cookie",), ("+cookie=0011223344556677",), ("+expire",), ("+keepalive", "+tcp"), ("+padding=128",),
                  ("+nsid", "+cookie", "+expire", "+keepalive", "+padding=64", "+subnet=192.0.2.0/24", "+tcp")):
        check_dig(daemon, "an option of dig", ("+norec", *words, *SOA), "NOERROR", "qr aa", [A_SOA, AN_OPT], [])


def test_dig_flags(case, daemon):
    """Every header flag and opcode that dig can send."""
    for words, flags in ((("+aaflag",), "qr aa"), (("+tcflag",), "qr aa"), (("+raflag",), "qr aa"), (("+zflag",), "qr aa"),
                         (("+adflag",), "qr aa"), (("+cdflag",), "qr aa"), (("+recurse",), "qr aa rd"),
                         (("+aaflag", "+raflag", "+zflag", "+adflag", "+cdflag", "+recurse"), "qr aa rd")):
        check_dig(daemon, "a flag", ("+norec", *words, *SOA), "NOERROR", flags, [A_SOA], ["MBZ"])
    for opcode in range(1, 16):
        text = dig(daemon, "+norec", f"+opcode={opcode}", *SOA)
        check_equal((status_of(text), "EDNS: version: 0" in text), ("NOTIMP", True), f"+opcode={opcode}")
    for rdclass in ("HS", "ANY", "CLASS2", "CLASS65535"):
        check_equal(status_of(dig(daemon, "-c", rdclass, *SOA)), "REFUSED", f"class {rdclass}")
    for words in (("+tcp", "clamav.net", "IXFR=1"), ("clamav.net", "AXFR")):
        check("; Transfer failed." in said(daemon, "dig", *words), f"dig {' '.join(words)}")
    check_equal(status_of(dig(daemon, "-c", "CH", "id.server", "TXT")), "NOERROR", "id.server of class CH")
    text = said(daemon, "dig", "+tcp", "+keepopen", "+short", *SOA, "ns1.clamav.net", "A", "mx1.clamav.net", "AAAA")
    check_equal(text.splitlines()[1:], ["192.0.2.251", "2001:db8:ffff::25"], "three questions on a connection")


def test_dig_subnet(case, daemon):
    """Client subnets as dig writes them; +subnet=0 has no family."""
    for subnet, want in (("192.0.2.0/24", r"192\.0\.2\.0/24/\d+"), ("2001:db8::/56", r"2001:db8::/56/\d+"), ("198.51.100.7", r"198\.51\.100\.7/32/\d+"),
                         ("0.0.0.0/0", r"0(\.0\.0\.0)?/0/0"), ("::/0", r"::/0/0"), ("0", r"0(\.0\.0\.0)?/0/0")):
        check_dig(daemon, "a subnet", ("+norec", f"+subnet={subnet}", "db.local.clamav.net", "A"), "NOERROR", "qr aa",
                  [rf"; CLIENT-SUBNET: {want}\n", r"db\.local\.clamav\.net\.\s+\d+\s+IN\s+A\s"], [])
        check_dig(daemon, "a subnet", ("+norec", f"+subnet={subnet}", "www.clamav.net", "A"), "NOERROR", "qr aa",
                  [r"; CLIENT-SUBNET: \S+/\d+/0\n"], [])
    text = dig(daemon, "+nosubnet", "db.local.clamav.net", "A")
    check("CLIENT-SUBNET" not in text, "client subnet without one in the query")


NAMES = [  # (name, type, status, pattern of the records)
    ("current.cvd.clamav.net", "TXT", "NOERROR", rf'TXT\s+"{VERSION}"'),
    ("db.de.clamav.net", "A", "NOERROR", r"A\s+198\.51\.100\.\d+"),
    ("db.us.ipv6.clamav.net", "AAAA", "NOERROR", r"AAAA\s+2001:db8:\S+"),
    ("db.local.clamav.net", "A", "NOERROR", r"A\s+\d+\.\d+\.\d+\.\d+"),
    ("database.clamav.net", "A", "NOERROR", r"A\s+\d+\.\d+\.\d+\.\d+"),
    ("www.clamav.net", "A", "NOERROR", r"CNAME\s+clamav\.net\.[^$]*A\s+192\.0\.2\.250"),
    ("any.docs.clamav.net", "TXT", "NOERROR", r'TXT\s+"see https'),
    ("api.old.clamav.net", "A", "NOERROR", r"DNAME\s+docs\.clamav\.net\.[^$]*A\s+192\.0\.2\.249"),
    ("x.mirrors.clamav.net", "A", "NOERROR", r"mirrors\.clamav\.net\.\s+\d+\s+IN\s+NS\s+ns1\.mirrors[^$]*203\.0\.113\.252"),
    ("_tcp.clamav.net", "SRV", "NOERROR", r"SOA\s+ns1\.clamav\.net"),
    ("no-such-name.clamav.net", "A", "NXDOMAIN", r"SOA\s+ns1\.clamav\.net"),
    ("1.2.3.1.0.c0000201.ping.clamav.net", "A", "NOERROR", r"SOA\s+ns1\.clamav\.net"),
    ("elsewhere.test", "A", "REFUSED", r""),
]


def test_names_dig(case, daemon):
    """Each kind of answer, over UDP and TCP."""
    for name, rdtype, status, pattern in NAMES:
        for transport in ("+notcp", "+tcp"):
            check_dig(daemon, "a name", ("+norec", transport, name, rdtype), status,
                      "qr" if status == "REFUSED" or "mirrors" in name else "qr aa", [pattern], [])


# --- kdig, drill, delv ---

def kdig(daemon, *words):
    text = said(daemon, "kdig", "+retry=0", "+norec", *words)
    check(not re.search(";; (WARNING(?!: truncated reply)|ERROR)", text), f"kdig {' '.join(words)} complains:\n{text}")
    return text


def test_kdig(case, daemon):
    """Knot's: the same names, its options, and opcodes; it checks the id, the question and what is left over."""
    for name, rdtype, status, pattern in NAMES:
        for transport in ("+notcp", "+tcp"):
            text = kdig(daemon, transport, name, rdtype)
            check_equal(status_of(text), status, f"{name} {rdtype}")
            check(re.search(pattern.replace(r"IN\s+", r"(?:IN\s+)?"), text), f"no /{pattern}/ in\n{text}")
    for words in (("+edns",), ("+dnssec",), ("+bufsize=512",), ("+bufsize=65535",), ("+nsid",), ("+cookie",),
                  ("+padding=100", "+tcp"), ("+alignment=128",), ("+expire",), ("+ednsopt=65001:abcd",), ("+subnet=192.0.2.0/24",),
                  ("+subnet=2001:db8::/32",), ("+subnet=0.0.0.0/0",), ("+aaflag", "+tcflag", "+raflag", "+zflag", "+adflag", "+cdflag"),
                  ("+nsid", "+cookie", "+padding=64", "+expire", "+dnssec", "+subnet=::/0")):
        text = kdig(daemon, *words, *SOA)
        check_equal((status_of(text), flags_of(text)), ("NOERROR", ["qr", "aa"]), f"kdig {' '.join(words)}")
        if any(word.startswith("+subnet") for word in words):
            check("CLIENT-SUBNET" in text, f"kdig {' '.join(words)}: no client subnet in\n{text}")
    check_equal(status_of(said(daemon, "kdig", "+edns=1", *SOA)), "BADVERS", "+edns=1")
    for transport in ("+tcp", "+notcp"):
        check_equal(status_of(said(daemon, "kdig", transport, "-t", "NOTIFY", "clamav.net")), "NOTIMPL", f"NOTIFY {transport}")
    check("REFUSED" in run(["kdig", "-p", str(daemon.addr[1]), f"@{daemon.addr[0]}", "clamav.net", "AXFR"])[1], "AXFR")
    check("REFUSED" in run(["kdig", "-p", str(daemon.addr[1]), f"@{daemon.addr[0]}", "clamav.net", "IXFR=1"])[1], "IXFR")
    text = kdig(daemon, "+tcp", "+keepopen", "www.clamav.net", "A", "www.clamav.net", "AAAA", "clamav.net", "MX")
    check_equal(text.count("status: NOERROR"), 3, "answers on a connection that kdig keeps open")
    text = kdig(daemon, "db.us.big.clamav.net", "A")  # TC, then TCP by itself
    check("(TCP)" in text and len(re.findall(r"\bA\s+\d+\.", text)) > 20, f"db.us.big:\n{text}")


def test_drill(case, daemon):
    """ldns's: the same names, plain, with DO, with sizes, over TCP."""
    for name, rdtype, status, pattern in NAMES:
        for words in ((), ("-t",), ("-D",), ("-b", "4096"), ("-a",)):
            text = said(daemon, "drill", "-o", "rd", *words, name, rdtype)
            check_equal(status_of(text), status, f"drill {name} {rdtype}")
            check(re.search(pattern, text), f"no /{pattern}/ in\n{text}")
            check("TRUNCATED" not in text and "malformed" not in text, text)
            check_equal("EDNS: version 0" in text, "-D" in words or "-b" in words, f"OPT for drill {' '.join(words)} {name}")
    text = said(daemon, "drill", "-a", "db.us.big.clamav.net", "A")
    check(len(re.findall(r"\sA\s+\d+\.", text)) > 20, f"db.us.big with fallback to TCP:\n{text}")


def test_delv(case, daemon):
    """BIND's resolver library: answers that it takes, and what it says of those that are none."""
    for name, rdtype, status, pattern in NAMES:
        if "mirrors" in name:
            continue  # it follows no referral
        words = ("-i", "+tcp", name, rdtype) if rdtype == "TXT" else ("-i", name, rdtype)
        text = said(daemon, "delv", *words)
        if status == "NOERROR" and "SOA" not in pattern:
            check(re.search(pattern, text), f"no /{pattern}/ in delv's\n{text}")
        elif status == "REFUSED":
            check("resolution failed" in text, text)
        else:
            check(("ncache nxdomain" if status == "NXDOMAIN" else "ncache nxrrset") in text, f"delv {name}:\n{text}")


# --- dig and kdig over TLS ---

def check_tls_alone(daemon, before, asked_n, what):
    """So many questions came over TLS since, and none in any other way."""
    def moved():
        after = daemon.counters()
        return {name: after[name] - before[name] for name in ("queries_udp", "queries_tcp", "queries_tls", "tls_handshake_failures")}
    wait_until(lambda: moved()["queries_tls"] >= asked_n, f"{what}: questions over TLS")
    check_equal(moved(), {"queries_udp": 0, "queries_tcp": 0, "queries_tls": asked_n, "tls_handshake_failures": 0}, what)


def test_over_tls(case, daemon):
    """Each kind of answer, with the certificate checked; with a cookie and a server id; a large answer; another certificate."""
    tls = ("+tls", f"+tls-ca={daemon.ca}", "+tls-hostname=ns1.clamav.test")
    before = daemon.counters()
    for name, rdtype, status, pattern in NAMES:
        check_dig(daemon, "a name", ("+norec", *tls, name, rdtype), status,
                  "qr" if status == "REFUSED" or "mirrors" in name else "qr aa", [pattern, r"\(TLS\)"], [])
        text = kdig(daemon, *tls, name, rdtype)
        check_equal(status_of(text), status, f"{name} {rdtype}")
        check(re.search(pattern.replace(r"IN\s+", r"(?:IN\s+)?"), text) and "TLS session (TLS1.3)" in text, f"no /{pattern}/ in\n{text}")
    text = said(daemon, "dig", "+norec", "+nsid", "+cookie", *tls, *SOA)
    check(re.search(r"; COOKIE: [0-9a-f]{48} \(good\)", text) and "; NSID:" in text, f"dig +cookie +nsid:\n{text}")
    text = dig(daemon, "+norec", *tls, "db.us.big.clamav.net", "A")
    check(len(re.findall(r"\sA\s+\d+\.", text)) > 20, f"db.us.big:\n{text}")
    check_tls_alone(daemon, before, 2 * len(NAMES) + 2, "dig and kdig")
    text = run(["dig", "-p", str(daemon.tls[1]), f"@{daemon.tls[0]}", *tls[:2], "+tls-hostname=other.test", "+tries=1", *SOA])[1]
    check("status:" not in text and "TLS peer certificate verification" in text, f"dig takes another's certificate:\n{text}")


# --- unbound in front ---

# It asks again when an answer takes longer than those before, by default 50 ms: on a busy machine no question could be counted.
# With 512 bytes db.us.big does not fit into UDP, and it comes back over TCP.
UNBOUND = """server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    verbosity: 1
    interface: 127.0.0.1@{port}
    outgoing-interface: 127.0.0.1
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-ip6: no
    num-threads: 1
    module-config: "{modules}"
    minimal-responses: no
    rrset-roundrobin: no
    edns-buffer-size: 512
    infra-cache-min-rtt: 4000
    unknown-server-time-limit: 4000
    unwanted-reply-threshold: 100
    val-log-level: 2
{options}
{zone}
"""
HARDENED = """    qname-minimisation: yes
    qname-minimisation-strict: yes
    use-caps-for-id: yes
    harden-glue: yes
    harden-short-bufsize: yes
    harden-large-queries: yes
    harden-dnssec-stripped: yes
    harden-below-nxdomain: yes
    harden-referral-path: yes
    harden-algo-downgrade: yes
    aggressive-nsec: yes
"""
PLAIN = "    qname-minimisation: no\n    use-caps-for-id: no\n"
CLIENT_SUBNET = """    send-client-subnet: 127.0.0.0/8
    client-subnet-always-forward: yes
"""


class Unbound:
    """A resolver that has dnsd for clamav.net and nobody for the rest. Ends with the case."""

    def __init__(self, case, daemon, options, modules="iterator", how="stub", tls=False):
        host, port = daemon.tls if tls else daemon.addr
        zone = f"{how}-zone:\n    name: clamav.net\n    {how}-addr: {host}@{port}"
        if tls:
            zone += f"#ns1.clamav.test\n    {how}-tls-upstream: yes"
            options += f'    tls-cert-bundle: "{daemon.ca}"\n'
        self.addr = ("127.0.0.1", free_port())
        path = os.path.join(case.folder, f"unbound-{self.addr[1]}.conf")
        with open(path, "w") as file:
            file.write(UNBOUND.format(folder=case.folder, port=self.addr[1], modules=modules, options=options, zone=zone))
        self.process = subprocess.Popen(["unbound", "-d", "-c", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace")
        self.log = Output(self.process.stdout)
        case.stack.callback(self.stop)
        self.log.wait("start of service")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, name, rdtype="A", source="127.0.0.1", **words):
        """The answer of a client at that address."""
        command = ["dig", "-p", str(self.addr[1]), "@127.0.0.1", "-b", source, "+tries=1", "+time=15", name, rdtype]
        status, text = run(command + [f"+{word}={value}" if value is not True else f"+{word}" for word, value in words.items()])
        check_equal(status, 0, f"{name} {rdtype} by unbound:\n{text}")
        return text


def resolve_all(daemon, unbound, what, transports=("udp", "tcp")):
    """Every kind of name, as a client of that resolver sees it; it asks by these transports and no other, and no question of it is turned
    down on the way."""
    start = daemon.counters()["queries_tcp"]
    whole = addresses(ask(daemon, "db.us.big.clamav.net", transport=TCP))
    wait_until(lambda: daemon.counters()["queries_tcp"] > start, "our own question is counted")
    before = daemon.counters()
    for name, rdtype, status, pattern in NAMES:
        if status == "REFUSED" or "mirrors" in name:
            continue
        text = unbound.ask(name, rdtype)
        check_equal(status_of(text), status, f"{name} {rdtype} by unbound, {what}:\n" + "\n".join(unbound.log.lines[-20:]))
        check(re.search(pattern, text), f"{what}: no /{pattern}/ in\n{text}")
        check(not re.search(r"flags:[^;]* aa", text), f"{name}: AA from a resolver")
    text = unbound.ask("db.us.big.clamav.net", "A", tcp=True)
    check_equal(sorted(re.findall(r"\sA\s+(\d+\.\S+)", text)), sorted(whole), f"{what}: db.us.big")
    after = daemon.counters()
    for transport in ("udp", "tcp", "tls"):
        asked_n = after[f"queries_{transport}"] - before[f"queries_{transport}"]
        check_equal(asked_n > 0, transport in transports, f"{what}: does it ask over {transport}, {asked_n} questions")
    for counter in ("formerr", "notimp", "badvers", "servfail", "dropped_short", "dropped_response", "refused"):
        check_equal(after[counter], before[counter], f"{what}: counter {counter}")


def test_unbound_plain(case, daemon):
    """As a stub zone, without any hardening."""
    resolve_all(daemon, Unbound(case, daemon, PLAIN), "plain")


def test_unbound_hardened(case, daemon):
    """Strict QNAME minimisation (RFC 9156) through empty non-terminals, 0x20, everything hardened."""
    unbound = Unbound(case, daemon, HARDENED)
    resolve_all(daemon, unbound, "hardened")
    # harden-below-nxdomain (RFC 8020): an empty non-terminal is none, so what is below it is still found.
    check_equal(status_of(unbound.ask("cvd.clamav.net")), "NOERROR", "the empty non-terminal above current.cvd")
    check_equal(status_of(unbound.ask("fr.clamav.net")), "NOERROR", "the empty non-terminal above db.fr")
    check_equal(status_of(unbound.ask("db.fr.clamav.net")), "NOERROR", "a name below it")
    check_equal(status_of(unbound.ask("main.cvd.clamav.net", "TXT")), "NOERROR", "a name below it")


def test_unbound_forward(case, daemon):
    """As a forward zone: unbound then expects a resolver; AA answers do."""
    resolve_all(daemon, Unbound(case, daemon, HARDENED, how="forward"), "forward")


def test_unbound_tls(case, daemon):
    """Over TLS alone, as stub and as forward zone, with the certificate checked."""
    for how in ("stub", "forward"):
        resolve_all(daemon, Unbound(case, daemon, HARDENED, how=how, tls=True), f"{how} over TLS", ("tls",))


def test_unbound_validator(case, daemon):
    """With the validator in: DO in every question, and a zone that is unsigned."""
    insecure = HARDENED + '    domain-insecure: "clamav.net"\n'
    resolve_all(daemon, Unbound(case, daemon, insecure, modules="validator iterator"), "validator")


def test_unbound_subnet(case, daemon):
    """Client subnet: clients of one resolver in different countries get their own mirrors, from its cache too."""
    unbound = Unbound(case, daemon, HARDENED + CLIENT_SUBNET, modules="subnetcache iterator")
    resolve_all(daemon, unbound, "client subnet")
    mirrors = {country: set(addresses(ask(daemon, f"db.{country}.big.clamav.net", transport=TCP))) for country in ("de", "fr", "jp")}
    sources = {"de": "127.2.0.", "fr": "127.3.0.", "jp": "127.5.0."}
    for country, prefix in sources.items():
        near = set(addresses(ask(daemon, "db.local.clamav.net", source=prefix + "1")))
        check(near <= mirrors[country], f"{prefix}1 is in {country}: {near}")
    before = daemon.counters()
    for turn in (1, 2, 3):
        for country, prefix in sources.items():
            text = unbound.ask("db.local.clamav.net", source=f"{prefix}{turn}")
            got = set(re.findall(r"\sA\s+(\d+\.\S+)", text))
            check(got and got <= mirrors[country], f"turn {turn}: a client in {country} got {got}")
    after = daemon.counters()
    check(after["ecs"] - before["ecs"] >= len(sources), "questions with a client subnet")
    check_equal(after["pool_geo"] - before["pool_geo"], len(sources), "questions for db.local: one for each network, then the cache")
    # What does not depend on the client is asked once for all of them (scope 0).
    for prefix in sources.values():
        check_equal(status_of(unbound.ask("db.se.clamav.net", source=prefix + "9")), "NOERROR", "db.se")
    moved = daemon.counters()["pool"] - after["pool"]
    check_equal(moved, 1, "questions for an answer that is the same for everybody")


def test_unbound_referral(case, daemon):
    """A delegation: unbound goes to the name servers that it is referred to, by their glue."""
    unbound = Unbound(case, daemon, PLAIN)
    before = daemon.counters()["noerror"]
    command = ["dig", "-p", str(unbound.addr[1]), "@127.0.0.1", "+tries=1", "+time=1", "x.mirrors.clamav.net", "A"]
    run(command)  # nobody is at the addresses of the example's glue
    check(daemon.counters()["noerror"] > before, "dnsd was not asked")
    check(not any("lame" in line.lower() for line in unbound.log.lines), "unbound calls dnsd lame")
