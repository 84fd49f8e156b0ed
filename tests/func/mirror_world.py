"""A pool of real mirrors: nginx in a network namespace, one virtual server an address, with faults that can be switched.

The namespace has nothing but its loopback, to which whole documentation networks lead (RFC 5737, RFC 3849), so that
hundreds of mirrors need no address each. What a mirror serves is a folder of its own; databases in it are links to
shared files until a fault makes them differ.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import (SANITIZER_REPORT, TOP, Daemon, Failure, Output, Skip, addresses, ask, check, check_equal, cvd_file, need_program,
                     quoted, run, wait_until)

MIRRORMON = os.path.abspath(os.environ.get("MIRRORMON_BIN") or os.path.join(TOP, "build", "bin", "mirrormon"))
NETWORKS4 = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"]
NETWORK6 = "2001:db8::/32"
REFERENCES = ["203.0.113.250", "203.0.113.251", "203.0.113.252"]


def ip(*arguments):
    status, text = run([need_program("ip"), *arguments])
    check(status == 0, f"ip {' '.join(arguments)}: {text}")


class Mirror:
    """What one of them serves. Changes take effect with the next request, but for down() and up()."""

    def __init__(self, world, host, country, addresses):
        self.world, self.host, self.country, self.addresses = world, host, country, addresses
        self.folder = os.path.join(world.www, host)
        os.mkdir(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, content, mtime=None):
        with open(self.path(name) + ".new", "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        if mtime is not None:
            os.utime(self.path(name) + ".new", (mtime, mtime))
        os.rename(self.path(name) + ".new", self.path(name))

    def sync(self, *names):
        """Pull what the master has, as rsync would; all of it unless named."""
        for name in names or os.listdir(self.world.master):
            master = os.path.join(self.world.master, name)
            # A rename onto another name of the same file would do nothing.
            if not os.path.exists(self.path(name)) or not os.path.samefile(master, self.path(name)):
                os.link(master, self.path(name) + ".new")
                os.rename(self.path(name) + ".new", self.path(name))

    def stamp(self, at_s):
        """A timestamp of its own: no longer the master's."""
        self.put("timestamp", f"{int(at_s)}\n")

    def answer(self, status):
        """Answer everything with that status, or "slow"; None: as a mirror does again."""
        flag = self.path(f".{status}")
        for name in (".404", ".403", ".301", ".503", ".slow"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        if status is not None:
            open(flag, "w").close()

    def down(self, *addresses):
        self.world.cut(*(addresses or self.addresses))

    def up(self, *addresses):
        self.world.mend(*(addresses or self.addresses))


class MirrorWorld:
    """mirrors: [(host, country, [address])]. Closed with the case.

    more  served like them, but in no list of mirrors yet
    raw   in no list either, and served by nobody: for serve()
    servers  world -> more of nginx's configuration
    """

    def __init__(self, case, mirrors, more=(), raw=(), servers=None):
        if os.geteuid() != 0:
            raise Skip("needs root, for a network namespace")
        self.case = case
        self.nginx = need_program("nginx")
        self.folder = os.path.join(case.folder, "world")
        self.www = os.path.join(self.folder, "www")
        self.master = os.path.join(self.folder, "master")
        for folder in (self.folder, self.www, self.master, self.path("logs"), self.path("temp")):
            os.mkdir(folder)
        os.chmod(self.folder, 0o755)
        self.name = f"dnsdmirrors-{os.getpid()}"
        status, text = run([need_program("ip"), "netns", "add", self.name])
        if status != 0:
            raise Skip(f"no network namespace to be had: {text.strip()}")
        case.stack.callback(self.remove)
        status, text = run(["ip", "netns", "exec", self.name, "true"])
        if status != 0:  # the root is no mount point: a plain chroot
            raise Skip(f"no network namespace can be entered: {text.strip()}")
        ip("-n", self.name, "link", "set", "lo", "up")
        for network in NETWORKS4 + [NETWORK6]:
            ip("-n", self.name, "route", "add", "local", network, "dev", "lo")
        # An IPv6 socket binds only to an address that is there, whatever the routes say.
        status, text = run(["ip", "netns", "exec", self.name, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind"])
        check(status == 0, f"ip_nonlocal_bind: {text}")
        self.cuts = set()
        self.mirrors = [Mirror(self, *mirror) for mirror in mirrors]
        self.references = [Mirror(self, f"reference{i}.example", "XX", [address]) for i, address in enumerate(REFERENCES)]
        self.more = [Mirror(self, *mirror) for mirror in more]
        self.raw = [Mirror(self, *mirror) for mirror in raw]
        self.by_host = {mirror.host: mirror for mirror in self.mirrors}
        self.start_nginx(servers(self) if servers else "")

    def path(self, name):
        return os.path.join(self.folder, name)

    @contextlib.contextmanager
    def inside(self):
        """Sockets made by this thread meanwhile are in the namespace, and stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as namespace:
            check(libc.setns(namespace.fileno(), 0) == 0, f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                check(libc.setns(outside.fileno(), 0) == 0, f"setns: {os.strerror(ctypes.get_errno())}")

    def serve(self, mirror, answer):
        """A web server of our own: answer(request, connection) for each request of a connection; false ends it."""
        with self.inside():
            for address in mirror.addresses:
                listener = socket.create_server((address, 80), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
                self.case.stack.callback(listener.close)
                threading.Thread(target=accept_all, args=(listener, answer), daemon=True).start()

    def remove(self):
        if getattr(self, "web", None) and self.web.poll() is None:
            self.web.send_signal(signal.SIGQUIT)
            try:
                self.web.wait(10)
            except subprocess.TimeoutExpired:
                self.web.kill()
                self.web.wait()
        run(["ip", "netns", "del", self.name])

    def servers_text(self):
        servers = []
        for mirror in self.mirrors + self.references + self.more:
            listens = " ".join(f"listen {f'[{a}]' if ':' in a else a}:80;" for a in mirror.addresses)
            flags = " ".join(f"if (-f $document_root/.{status}) {{ {action}; }}" for status, action in
                             ((503, "return 503"), (404, "return 404"), (403, "return 403"),
                              (301, "return 301 http://elsewhere.example$request_uri")))
            # Of 512 bytes the second half comes a second later.
            flags += " if (-f $document_root/.slow) { set $limit_rate 256; }"
            servers.append(f"server {{ {listens} root {mirror.folder}; {flags} }}")
        return "\n".join(servers)

    def start_nginx(self, more=""):
        conf = f"""
            daemon off; master_process off; pid {self.path("nginx.pid")}; error_log {self.path("logs/error.log")};
            events {{ worker_connections 4096; }}
            http {{ log_format mirror '$server_addr $status $request_method $uri $http_user_agent'; access_log {self.path("logs/access.log")} mirror; default_type application/octet-stream;
                keepalive_requests 100; server_tokens off;
                client_body_temp_path {self.path("temp/b")}; proxy_temp_path {self.path("temp/p")};
                fastcgi_temp_path {self.path("temp/f")}; uwsgi_temp_path {self.path("temp/u")}; scgi_temp_path {self.path("temp/s")};
                {self.servers_text()} {more} }}"""
        with open(self.path("nginx.conf"), "w") as file:
            file.write(conf)
        self.web = subprocess.Popen(["ip", "netns", "exec", self.name, self.nginx, "-p", self.folder, "-c", self.path("nginx.conf")],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.web_log = Output(self.web.stdout)
        wait_until(self.answers, "nginx answers")

    def answers(self):
        if self.web.poll() is not None:
            raise Failure("nginx has ended: " + " ".join(self.web_log.lines))
        code = f"import socket; socket.create_connection(('{self.references[0].addresses[0]}', 80), 1)"
        return subprocess.run(["ip", "netns", "exec", self.name, sys.executable, "-c", code], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0

    # Nobody there: told at once, as if the cable were cut.
    def cut(self, *addresses):
        self.change_routes("add", [address for address in addresses if address not in self.cuts])
        self.cuts.update(addresses)

    def mend(self, *addresses):
        self.change_routes("del", [address for address in addresses if address in self.cuts])
        self.cuts.difference_update(addresses)

    def change_routes(self, verb, addresses):
        routes = "".join(f"route {verb} unreachable {a}/{128 if ':' in a else 32} table local\n" for a in addresses)
        done = subprocess.run(["ip", "-n", self.name, "-batch", "-"], input=routes, text=True, capture_output=True, timeout=60)
        check_equal((done.returncode, done.stderr), (0, ""), f"ip route {verb}")

    def heal(self, case=None):
        """Mend what a test has broken; what the next one starts ends with its case."""
        self.case = case or self.case
        self.mend(*self.cuts)
        for mirror in self.mirrors + self.references:
            mirror.answer(None)
            mirror.sync()

    # What the master has, and pushes.
    def release(self, databases, cdiffs=(), at_s=None):
        """databases: {name: version} or {name: bytes}; made here unless given as bytes. Only the master has them. As old as built."""
        at_s = int(at_s or time.time())
        for name, what in databases.items():
            content = what if isinstance(what, bytes) else cvd_file(what, stime=at_s)
            self.write_master(f"{name}.cvd", content, int(content[:512].split(b":")[8]))
        for name, content in dict(cdiffs).items():
            self.write_master(name, content, at_s)
        self.write_master("timestamp", f"{at_s}\n".encode(), at_s)

    def write_master(self, name, content, at_s):
        path = os.path.join(self.master, name)
        with open(path + ".new", "wb") as file:
            file.write(content)
        os.utime(path + ".new", (at_s, at_s))
        os.rename(path + ".new", path)

    def push(self, mirrors=None, *names):
        for mirror in self.references + list(self.mirrors if mirrors is None else mirrors):
            mirror.sync(*names)

    def mirrors_text(self, mirrors=None):
        return "mirrors = (\n" + ",\n".join(
            f'\t{{ host = "{m.host}"; country = "{m.country}"; addresses = {quoted(m.addresses)};'
            f' admin = "Admin of {m.host} <admin@{m.host}>"; }}' for m in (self.mirrors if mirrors is None else mirrors)) + "\n);\n"

    def monitor_text(self, **groups):
        """mirrormon.conf in fast time. groups: {key: text} that replace or join those of a group; "_" is "-"."""
        keys = {
            "monitor": {"name": '"mon1.example"', "pool": '"clamav"', "mirrors": '"mirrors.conf"', "state-directory": '"mon"',
                        "feed": '"feed.json"', "feed-interval": '"1s"'},
            "checks": {"interval": '"1s"', "retry": '"300ms"', "connect-timeout": '"500ms"', "timeout": '"5s"',
                       "databases": '[ "daily" ]', "cdiffs": "1", "deep-interval": '"0s"', "sigtool": '""'},
            "decision": {"late-after": '"1h"', "old-after": '"2h"', "unreachable-after": "3", "return-after": "2", "probation": '"1s"',
                         "probation-max": '"2s"', "flap-window": '"30s"', "ramp": '"10s"', "ramp-percent": "10",
                         "slow-over": '"1500ms"', "slow-after": "2"},
            "announce": {"quorum-percent": "60", "limit": '"1h"', "settle": '"1s"', "interval": '"200ms"'},
        }
        for name, more in groups.items():
            keys.setdefault(name.replace("_", "-"), {}).update({key.replace("_", "-"): text for key, text in more.items()})
        references = ",\n".join(f'{{ url = "http://{m.host}"; address = "{m.addresses[0]}"; }}' for m in self.references)
        return "".join(f"{name}: {{ {' '.join(f'{key} = {text};' for key, text in group.items() if text is not None)} }};\n"
                       for name, group in keys.items()) + f"references = ( {references} );\n"

    def write_monitor(self, place, mirrors=None, **groups):
        """The files of a mirrormon in the folder of a Site, where it writes as well."""
        place.write("mirrors.conf", self.mirrors_text(mirrors))
        os.makedirs(place.file("mon"), exist_ok=True)
        return place.write("mirrormon.conf", self.monitor_text(**groups))

    def start_monitor(self, place, **keywords):
        """What is configured there."""
        monitor = Monitor(self, place, **keywords)
        self.case.stack.callback(monitor.end)
        return monitor

    def monitor(self, place, mirrors=None, options=(), **groups):
        self.write_monitor(place, mirrors, **groups)
        return self.start_monitor(place, options=options)


class Monitor(Daemon):
    """A running mirrormon."""

    def __init__(self, world, place, **keywords):
        self.world, self.place = world, place
        super().__init__(place.file("mirrormon.conf"), netns=world.name, ready=False, program=MIRRORMON, **keywords)

    def end(self):
        """With the case, unless it was stopped before; a crash fails the test even then."""
        try:
            self.stop()
        finally:
            self.kill()

    def feed(self):
        """The feed as it is; None before the first."""
        try:
            with open(self.place.file("feed.json")) as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def out(self):
        """{mirror or address: reason} of the feed."""
        return {entry.get("mirror", entry.get("address")): entry["reason"] for entry in (self.feed() or {}).get("excluded", [])}

    def wait_feed(self, after=0, deadline_s=None):
        """A feed with a higher serial."""
        return wait_until(lambda: (feed := self.feed()) and feed["serial"] > after and feed, f"a feed after serial {after}", deadline_s)

    def wait_out(self, want, deadline_s=None):
        """Until exactly these are out."""
        try:
            wait_until(lambda: self.out() == want, "", deadline_s)
        except Failure:
            check_equal(self.out(), want, "what is out by the feed")

    def get(self, path="/metrics"):
        """(status, text) of its HTTP server, the one it told of last."""
        found = [line for line in self.log.since(0) if "metrics on " in line]
        host, port = found[-1].rsplit(" ", 1)[1].split("@")
        with self.world.inside():
            sock = socket.create_connection((host, int(port)), 20)
        with sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: sock.recv(65536), b"")).decode().partition("\r\n\r\n")
        return int(head.split()[1]), body


def accept_all(listener, answer):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer_all, args=(connection, answer), daemon=True).start()


def answer_all(connection, answer):
    with connection, contextlib.suppress(OSError):
        connection.settimeout(30)
        request = connection.recv(65536)
        while request and answer(request.decode("latin-1"), connection):
            request = connection.recv(65536)


def mirrormon(world, *words, stdin="", deadline_s=60):
    """mirrormon to its end in the namespace: (status, what it prints, what it complains about)."""
    done = subprocess.run(["ip", "netns", "exec", world.name, MIRRORMON, *words], input=stdin, text=True, errors="replace",
                          capture_output=True, timeout=deadline_s)
    if SANITIZER_REPORT.search(done.stderr):
        raise Failure(f"sanitizer report of mirrormon {' '.join(words)}:\n{done.stderr}")
    return done.returncode, done.stdout, done.stderr


def members(daemon, country):
    """Addresses of a country's name, of both families."""
    return {address for kind in ("A", "AAAA") for address in addresses(ask(daemon, f"db.{country.lower()}.clamav.test", kind))}
