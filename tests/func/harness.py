"""What the functional tests are written with: a real daemon, real sockets, deadlines instead of sleeps.

    Case ── dir ── Site (configuration files in a folder) ── Daemon (the process, its log, its signals)
                                                                └─ ask(), Lookups, Tcp (who asks)

Programs: DNSD_BIN, DNSDCTL_BIN, GEODB_BIN, by default those in build/bin.
"""
import atexit
import collections
import contextlib
import functools
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program(variable, default):
    return os.path.abspath(os.environ.get(variable) or os.path.join(TOP, "build", "bin", default))


DNSD = program("DNSD_BIN", "dnsd")
DNSDCTL = program("DNSDCTL_BIN", "dnsdctl")
GEODB = program("GEODB_BIN", "dnsd-geodb")

# A busy machine or a sanitizer may take its time; a test that passes never waits this long.
DEADLINE_S = 20.0


class Failure(Exception):
    """The daemon did something else than it should."""


class Skip(Exception):
    """This cannot run here; the text says what it would need."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def check_equal(got, want, what):
    if got != want:
        raise Failure(f"{what}: got {got!r}, want {want!r}")


def wait_until(question, what, deadline_s=None, every_s=0.01):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + (deadline_s or DEADLINE_S)
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"not within {deadline_s or DEADLINE_S:g} s: {what}")
        time.sleep(every_s)


@functools.cache
def is_sanitized():
    """Built with a sanitizer: slower, and memory is no measure."""
    with open(DNSD, "rb") as file:
        return any(mark in file.read() for mark in (b"__asan_init", b"__tsan_init"))


SANITIZER_REPORT = re.compile(r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:")


# --- processes ---

class Output:
    """The lines a process writes, as they come."""

    def __init__(self, stream):
        self.lines = []
        self.closed = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.thread.start()

    def _read(self, stream):
        with stream:
            for line in stream:
                with self.changed:
                    self.lines.append(line.rstrip("\n"))
                    self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.lines)

    def since(self, mark):
        with self.changed:
            return self.lines[mark:]

    def wait(self, pattern, mark=0, deadline_s=None):
        """The match of the first line from mark on that fits."""
        pattern = re.compile(pattern)
        end = time.monotonic() + (deadline_s or DEADLINE_S)
        at = mark
        with self.changed:
            while True:
                for line in self.lines[at:]:
                    at += 1
                    match = pattern.search(line)
                    if match:
                        return match
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    tail = "\n    ".join(self.lines[mark:][-15:])
                    why = "it has ended" if self.closed else f"not within {deadline_s or DEADLINE_S:g} s"
                    raise Failure(f"no line /{pattern.pattern}/ in the log, {why}; there was:\n    {tail}")
                self.changed.wait(left)


class Daemon:
    """A running dnsd. Always started through Case.daemon(), which stops it."""

    def __init__(self, conf_path, netns=None, ready=True, prefix=(), more_env=None, pass_fds=(), program=None, options=()):
        """prefix: a program that becomes dnsd in the same process."""
        self.conf_path = conf_path
        command = [*prefix, program or DNSD, "-c", conf_path, *options]
        if netns:
            command = ["ip", "netns", "exec", netns] + command
        env = dict(os.environ)
        env.pop("JOURNAL_STREAM", None)  # time stamps as on a terminal
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"):
            env.pop(name, None)  # of whoever runs the tests
        env.update(more_env or {})
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace", env=env,
                                        pass_fds=pass_fds)
        self.log = Output(self.process.stdout)
        self.stopped = False
        self.listeners = []
        if ready:
            self.wait_ready()

    def wait_ready(self):
        self.log.wait(r"\bready\b")
        self.listeners = self.listening(0)
        check(self.listeners, "the log names no listener")

    def listening(self, mark):
        """(host, port) of each "listening on" line since mark."""
        found = [re.search(r"(?<!no longer )listening on (\S+)@(\d+)", line) for line in self.log.since(mark)]
        return [(match[1], int(match[2])) for match in found if match]

    @property
    def addr(self):
        return self.listeners[0]

    @property
    def pid(self):
        return self.process.pid

    def send_signal(self, number):
        check(self.process.poll() is None, f"dnsd has ended with status {self.process.returncode}")
        self.process.send_signal(number)

    def reload(self, fails=False):
        """SIGHUP, and what the log says about it, up to success or failure."""
        mark = self.log.mark()
        self.send_signal(signal.SIGHUP)
        match = self.log.wait(r"\b(reloaded|reload failed)\b", mark)
        lines = self.log.since(mark)
        if fails != (match[1] == "reload failed"):
            raise Failure(f"{match[1]}:\n    " + "\n    ".join(lines[-15:]))
        return lines

    def counters(self):
        """All counters by name; asked with SIGUSR1."""
        mark = self.log.mark()
        self.send_signal(signal.SIGUSR1)
        self.log.wait(r"counter tcp_open=", mark)
        found = [re.search(r"counter (\w+)=(\d+)", line) for line in self.log.since(mark)]
        return {match[1]: int(match[2]) for match in found if match}

    def check_moved(self, before, expected, what):
        """Exactly these counters have moved since; a worker may tell a moment later. Not tcp_open, unless it
        is expected: clients of before may just be leaving."""
        def moved():
            after = self.counters()
            return {name: after[name] - before[name] for name in after
                    if after[name] != before[name] and (name != "tcp_open" or name in expected)}
        try:
            wait_until(lambda: moved() == expected, "", every_s=0.02)
        except Failure:
            check_equal(moved(), expected, f"counters moved by {what}")

    def ctl(self, *words, **keywords):
        """A command of dnsdctl that must be done: its result."""
        said = self.dnsdctl("--json", *words, **keywords)
        check_equal(said.status, 0, f"exit status of dnsdctl {' '.join(words)}: {said.err}")
        return json.loads(said.out)

    def ctl_fails(self, *words, status=1):
        """One that must not be done: what it says about it."""
        said = self.dnsdctl(*words)
        check_equal((said.status, said.out), (status, ""), f"exit status and output of dnsdctl {' '.join(words)}: {said.err}")
        return said.err

    def dnsdctl(self, *words, **keywords):
        return dnsdctl("-s", self.control, *words, **keywords)

    @property
    def control(self):
        """The control socket, by the name that CONTROL gives it."""
        return os.path.join(os.path.dirname(self.conf_path), "ctl.sock")

    def rss_kb(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def check_log(self):
        for line in list(self.log.lines):
            if SANITIZER_REPORT.search(line):
                at = self.log.lines.index(line)
                raise Failure("sanitizer report:\n    " + "\n    ".join(self.log.lines[at:at + 30]))

    def stop(self, number=signal.SIGTERM):
        """Stop it as an operator would. It must end with status 0 and nothing bad in its log."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failure(f"dnsd does not stop within {DEADLINE_S:g} s of {signal.Signals(number).name}") from None
        self.log.thread.join(DEADLINE_S)
        self.check_log()
        if self.process.returncode != 0:
            tail = "\n    ".join(self.log.lines[-10:])
            raise Failure(f"dnsd ended with status {self.process.returncode}; its last lines:\n    {tail}")

    def kill(self):
        self.stopped = True
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def cpu_s(daemon):
    """What all threads of the daemon have used of processors: unlike the time that passes, it does not depend on who else uses them."""
    total_ns = 0
    for task in os.listdir(f"/proc/{daemon.pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            with open(f"/proc/{daemon.pid}/task/{task}/schedstat") as file:
                total_ns += int(file.read().split()[0])
    return total_ns / 1e9


def run(command, deadline_s=60, env=None, **keywords):
    """A program to its end: (status, standard output and error together)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=deadline_s, env=env, **keywords)
    if SANITIZER_REPORT.search(done.stdout):
        raise Failure(f"sanitizer report of {' '.join(command)}:\n{done.stdout}")
    return done.returncode, done.stdout


Said = collections.namedtuple("Said", "status out err")


def dnsdctl(*words, stdin="", deadline_s=60):
    """dnsdctl to its end, what it prints and what it complains about apart."""
    env = {name: value for name, value in os.environ.items() if name != "SUDO_USER"}
    done = subprocess.run([DNSDCTL, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", timeout=deadline_s, env=env)
    if SANITIZER_REPORT.search(done.stderr):
        raise Failure(f"sanitizer report of dnsdctl {' '.join(words)}:\n{done.stderr}")
    return Said(done.returncode, done.stdout, done.stderr)


# --- geo databases ---

GEO_SCRIPT = os.path.join(TOP, "tests", "data", "make-test-geo.sh")


@functools.cache
def geo_dir():
    """Folder with the generated databases, made once a run: by whoever has started this one, when it was several."""
    if os.environ.get("TEST_GEO_DIR"):
        return os.environ["TEST_GEO_DIR"]
    path = tempfile.mkdtemp(prefix="dnsd-geo-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    status, text = run(["sh", GEO_SCRIPT, GEODB, path])
    check(status == 0, f"{GEO_SCRIPT} failed: {text}")
    return path


def geo_file(name="loopback.mmdb"):
    return os.path.join(geo_dir(), name)


@functools.cache
def geo_table():
    """[(network, country)] as the script writes them: what the answers are checked against."""
    with open(GEO_SCRIPT) as file:
        lines = re.findall(r"^\s+([0-9a-f.:]+/\d+) ([A-Z]{2})$", file.read(), re.M)
    check(len(lines) > 20, f"{GEO_SCRIPT} no longer lists networks one a line")
    return [(ipaddress.ip_network(net), country) for net, country in lines]


# Where an IPv6 database holds IPv4 once more.
GEO_ALIASES = [ipaddress.ip_network(net) for net in ("::/96", "::ffff:0:0/96", "2001::/32", "2002::/16")]


def geo_expect(address):
    """(country or None, length of the largest network around address in which nothing else is said).

    (None, None) inside one of the aliases.
    """
    address = ipaddress.ip_address(address)
    table = [(net, country) for net, country in geo_table() if net.version == address.version]
    for length in range(address.max_prefixlen + 1):
        block = ipaddress.ip_network((address, length), strict=False)
        if any(block.version == net.version and block.overlaps(net) for net in GEO_ALIASES):
            continue
        over = [country for net, country in table if block.subnet_of(net)]
        if over:
            return over[-1], length
        if not any(net.subnet_of(block) for net, _ in table):
            return None, length
    return None, None


# --- configuration ---

def quoted(items):
    return "[ " + ", ".join(f'"{item}"' for item in items) + " ]"


def mirrors_text(mirrors):
    """mirrors.conf of [(host, country, addresses)] or [(host, country, addresses, weight)]."""
    blocks = []
    for host, country, addresses, *weight in mirrors:
        more = f" weight = {weight[0]};" if weight else ""
        blocks.append(f'\t{{ host = "{host}"; country = "{country}"; addresses = {quoted(addresses)};{more} }}')
    return "mirrors = (\n" + ",\n".join(blocks) + "\n);\n"


POOL_NAMES = """pools = (
		{
			pool = "clamav"; world = [ "database" ]; nearest = [ "db.local" ]; country = [ "db.%c" ];
			country-ipv6 = [ "db.%c.ipv6" ]; country-all = [ "db.%c.big" ]; region = [ "db.%r" ];
			ping = [ "ping" ];
		}
	);"""

# Keys of the server group, for those who use Daemon.ctl(): without a state directory, and with one.
CONTROL = 'control = "ctl.sock";'
STATE = CONTROL + ' state-directory = "state";'

ZONE_TEXT = """$TTL 1h
@	SOA	ns1 hostmaster 1 3h 30m 2w 5m
@	NS	ns1
ns1	A	192.0.2.251
www	A	192.0.2.250
"""


class Site:
    """A folder of configuration files. The daemon reads `path`."""

    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "dnsd.conf")

    def file(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Write a file as writers should: beside it, then rename."""
        path = self.file(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        mode = "wb" if isinstance(text, bytes) else "w"
        with open(path + ".new", mode) as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def folder_for(self, name):
        """A folder that is there."""
        os.makedirs(self.file(name), exist_ok=True)
        return self.file(name)

    def conf(self, zones, pools="", geo=None, listen=("127.0.0.1@0",), workers=0, server=""):
        """dnsd.conf. zones, pools: [text of a block]; geo: text of the group or None for the loopback database."""
        if geo is None:
            geo = f'database = "{geo_file()}";'
        text = f"server: {{ listen = {quoted(listen)}; workers = {workers}; {server} }};\n"
        text += f"geo: {{ {geo} }};\n"
        text += "zones = (\n\t" + ",\n\t".join(zones) + "\n);\n"
        if pools:
            text += "pools = (\n\t" + ",\n\t".join(pools) + "\n);\n"
        return self.write("dnsd.conf", text)

    @staticmethod
    def zone(name="clamav.test", file="clamav.zone", pools="", versions=""):
        if versions:
            versions = f"versions = (\n\t\t{versions}\n\t);"
        return f'{{\n\tname = "{name}"; file = "{file}";\n\t{pools}\n\t{versions}\n\t}}'

    @staticmethod
    def pool(**keys):
        keys = {"ttl": '"5m"', "max-answers": 8, "min-mirrors": 1} | {k.replace("_", "-"): v for k, v in keys.items()}
        more = " ".join(f"{key} = {value};" for key, value in keys.items())
        return f'{{ name = "clamav"; mirrors = "mirrors.conf"; regions = "regions.conf"; {more} }}'

    def pool_site(self, mirrors, regions=None, zone_text=ZONE_TEXT, versions="", pool=None, **conf):
        """Zone clamav.test with all names of the example on these mirrors."""
        self.write("clamav.zone", zone_text)
        self.write("mirrors.conf", mirrors_text(mirrors))
        self.write("regions.conf", regions or "regions = ();\nneighbours = ();\n")
        self.conf([self.zone(pools=POOL_NAMES, versions=versions)], [self.pool(**(pool or {}))], **conf)
        return self


# --- the control socket ---

class Control:
    """A connection to the control socket: objects out, objects in."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)  # waits where one with a timeout would fail
        self.sock.settimeout(DEADLINE_S)
        self.lines = self.sock.makefile("r")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.sock.close()

    def ask(self, command, **keys):
        """The whole response. EOFError when there is none."""
        self.sock.sendall(json.dumps({"command": command} | keys).encode() + b"\n")
        line = self.lines.readline()
        if not line.endswith("\n"):
            raise EOFError
        return json.loads(line)

    def do(self, command, **keys):
        """The result of a command that must be done."""
        response = self.ask(command, **keys)
        check(response.get("ok") is True, f"{command} {keys}: {response}")
        return response["result"]


# --- asking ---

UDP, TCP = "udp", "tcp"


def make_query(name, rdtype, edns=None, ecs=None, do=False, rd=False):
    """A query message. edns: advertised size, or None for none (ecs and do bring 1232). ecs: "192.0.2.0/24"."""
    if edns is None and (ecs or do):
        edns = 1232
    options = []
    if ecs:
        address, length = ecs.split("/")
        options.append(dns.edns.ECSOption(address, int(length)))
    name = name if name.endswith(".") else name + "."
    query = dns.message.make_query(name, rdtype, use_edns=False if edns is None else 0, payload=edns or 0,
                                   options=options or None, want_dnssec=do)
    query.flags = dns.flags.RD if rd else 0
    return query


def question_end(wire):
    at = 12
    while wire[at]:
        at += wire[at] + 1
    return at + 5


def parse_answer(request, wire, limit=65535):
    """The answer to the request as a message, after everything that holds of every answer has been checked."""
    check(len(wire) <= limit, f"an answer of {len(wire)} bytes where {limit} are allowed")
    check(len(wire) >= 12, f"an answer of {len(wire)} bytes")
    check_equal(wire[:2], request[:2], "id")
    check(wire[2] & 0x80, "QR is not set in an answer")
    check_equal(wire[2] & 0x79, request[2] & 0x79, "opcode and RD")
    check_equal((wire[3] & 0xf0) & ~0x10, 0, "RA, Z and AD")
    end = question_end(request)
    check_equal(wire[12:end], request[12:end], "the question, as sent")
    message = dns.message.from_wire(wire)
    counts = struct.unpack(">HHH", wire[6:12])
    sections = (message.answer, message.authority, message.additional)
    has_opt = message.edns >= 0
    for count, section, extra in zip(counts, sections, (0, 0, int(has_opt))):
        check_equal(sum(len(rrset) for rrset in section) + extra, count, "records against the count in the header")
    asked = struct.unpack(">H", request[10:12])[0] > 0
    check_equal(has_opt, asked, "OPT in the answer against OPT in the query")
    message.raw = wire
    return message


def udp_limit(query, server_size=1232):
    if query.edns < 0:
        return 512
    return max(512, min(query.payload, server_size))


def open_socket(server, kind, source=None):
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.settimeout(DEADLINE_S)
        if source:
            sock.bind((source, 0))
        sock.connect(server)
    except OSError:
        sock.close()
        raise
    return sock


def exchange_udp(server, wire, source=None, deadline_s=None):
    with open_socket(server, socket.SOCK_DGRAM, source) as sock:
        sock.settimeout(deadline_s or DEADLINE_S)
        sock.send(wire)
        try:
            return sock.recv(65535)
        except socket.timeout:
            return None


def ask(daemon, name, rdtype="A", transport=UDP, source=None, server=None, **keywords):
    """One question, one checked answer."""
    query = make_query(name, rdtype, **keywords)
    wire = query.to_wire()
    server = server or daemon.addr
    if transport == UDP:
        answer = exchange_udp(server, wire, source)
        check(answer is not None, f"no answer to {name} {rdtype}")
        return parse_answer(wire, answer, udp_limit(query))
    with Tcp(server, source) as tcp:
        tcp.send(wire)
        return parse_answer(wire, tcp.receive())


class Lookups:
    """Many questions from one socket, one after the other, as a resolver's."""

    def __init__(self, server, source=None):
        self.sock = open_socket(server, socket.SOCK_DGRAM, source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def ask(self, name, rdtype="A", **keywords):
        query = make_query(name, rdtype, **keywords)
        wire = query.to_wire()
        self.sock.send(wire)
        return parse_answer(wire, self.sock.recv(65535), udp_limit(query))


class Tcp:
    """A connection that sends what it is told, framed or raw."""

    def __init__(self, server, source=None):
        self.sock = open_socket(server, socket.SOCK_STREAM, source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    @staticmethod
    def frame(wire):
        return struct.pack(">H", len(wire)) + wire

    def send(self, *wires):
        self.sock.sendall(b"".join(self.frame(wire) for wire in wires))

    def send_raw(self, data):
        self.sock.sendall(data)

    def read_some(self, n):
        """Up to n bytes, none when the server has closed."""
        return self.sock.recv(n)

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.read_some(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self, deadline_s=None):
        """One message. EOFError when the server has closed."""
        self.sock.settimeout(deadline_s or DEADLINE_S)
        return self.read(struct.unpack(">H", self.read(2))[0])

    def is_closed(self, deadline_s):
        """Does the server close within this time, with nothing more to say?"""
        self.sock.settimeout(deadline_s)
        try:
            return self.sock.recv(1) == b""
        except socket.timeout:
            return False
        except ConnectionError:
            return True


def records(section):
    """[(owner, TTL, type, data)] of a section, in its order."""
    return [(rrset.name.to_text(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
            for rrset in section for rdata in rrset]


def addresses(message):
    """The addresses of the answer section, in its order."""
    return [data for _, _, kind, data in records(message.answer) if kind in ("A", "AAAA")]


def text_of(message):
    """The one string of the one TXT record."""
    found = [rdata for rrset in message.answer for rdata in rrset]
    check_equal(len(found), 1, "records in the answer")
    check_equal(len(found[0].strings), 1, "strings in the TXT record")
    return found[0].strings[0].decode()


def ecs_of(message):
    """(address, source length, scope length) of the answer's client subnet, or None."""
    for option in message.options:
        if option.otype == dns.edns.OptionType.ECS:
            return option.address, option.srclen, option.scopelen
    return None


def rcode_of(message):
    return dns.rcode.to_text(message.rcode())


def is_aa(message):
    return bool(message.flags & dns.flags.AA)


def is_tc(message):
    return bool(message.flags & dns.flags.TC)


def check_rcode(message, rcode, aa=True):
    name = message.question[0].name if message.question else "?"
    check_equal(rcode_of(message), rcode, f"rcode of {name}")
    check_equal(is_aa(message), aa, f"AA of {name}")


def check_negative(message, rcode, soa_owner, ttl):
    """NXDOMAIN or NODATA: no answer, and the SOA says for how long (RFC 2308)."""
    what = message.question[0].name.to_text()
    check_rcode(message, rcode)
    check_equal(records(message.answer), [], f"answer section of {what}")
    got = [(owner.lower(), seconds, kind) for owner, seconds, kind, _ in records(message.authority)]
    check_equal(got, [(soa_owner, ttl, "SOA")], f"authority section of {what}")


# --- files of ClamAV ---

def cvd_header(version, sigs=1000, flevel=90, stime=1624410840, built="22 Jun 2021 21-34 -0400", builder="builder"):
    """The first 512 bytes of a .cvd file."""
    fields = ("ClamAV-VDB", built, version, sigs, flevel, "0123456789abcdef" * 2, "A" * 171, builder, stime)
    return ":".join(str(field) for field in fields).encode().ljust(512)


def cvd_file(version, **keywords):
    """A whole file: the header and something after it. Not signed by anybody."""
    return cvd_header(version, **keywords) + b"\x1f\x8b" + bytes(200)


# --- a test's world ---

OPEN_CASES = set()


@atexit.register
def abandon_cases():
    """The run is broken off: leave nothing behind."""
    for case in list(OPEN_CASES):
        for daemon in case.daemons:
            daemon.kill()
        with contextlib.suppress(Exception):
            case.close(failed=True)


class Case:
    """What one test (or the setup of one module) makes, and its end."""

    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"dnsd-{name}-")
        self.daemons = []
        self.stack = contextlib.ExitStack()
        self.sites_n = 0
        self.random = random.Random(name)  # the same choices in each run
        OPEN_CASES.add(self)

    def site(self):
        self.sites_n += 1
        folder = os.path.join(self.folder, f"site{self.sites_n}")
        os.mkdir(folder)
        return Site(folder)

    def daemon(self, site, **keywords):
        path = site.path if isinstance(site, Site) else site
        daemon = Daemon(path, ready=False, **keywords)
        self.daemons.append(daemon)
        daemon.wait_ready()
        return daemon

    def close(self, failed=False):
        """Stop everything; the first thing wrong with that is a failure too."""
        OPEN_CASES.discard(self)
        trouble = None
        for daemon in reversed(self.daemons):
            try:
                daemon.stop()
            except Failure as failure:
                trouble = trouble or failure
                daemon.kill()
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if trouble and not failed:
            raise trouble


def amount(usual, long, sanitized):
    """How many of something: as often as each run can afford, or TESTS=long (make test-long); fewer when a sanitizer slows it down."""
    if is_sanitized():
        return sanitized
    return long if os.environ.get("TESTS") == "long" else usual


def check_within(took_s, limit_s, what):
    """It took less than that, where the machine is ours alone (make test-long). Others who use it, and a sanitizer, may hold it up, but not for good."""
    check(took_s < amount(DEADLINE_S, limit_s, DEADLINE_S), f"{what}: {took_s:.2f} s")


def need_program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Skip(f"{name} is not installed (scripts/setup.sh test)")
    return found


def free_port(host="127.0.0.1"):
    """
    A port that is free for UDP and TCP now, for a program that cannot let the kernel choose one or that must be told one in advance. It is
    below the range from which the kernel gives ports to others, so nobody is given it before the program has it.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        port = random.randrange(first // 2, first)
        with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family) as tcp, contextlib.suppress(OSError):
            udp.bind((host, port))
            tcp.bind((host, port))
            return port
    raise Skip(f"no port that is free for UDP and TCP on {host}")


def need_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        raise Skip("no IPv6 on this machine") from None


if __name__ == "__main__":
    sys.exit("this is a library; run tests/func/run.py")
