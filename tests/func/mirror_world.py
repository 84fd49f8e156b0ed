"""A pool of real mirrors: nginx in a network namespace, one virtual server an address, with faults that can be switched.

The namespace has nothing but its loopback, to which whole documentation networks lead (RFC 5737, RFC 3849), so that
hundreds of mirrors need no address each. What a mirror serves is a folder of its own; databases in it are links to
shared files until a fault makes them differ.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

from harness import TOP, Daemon, Failure, Output, Skip, check, cvd_file, need_program, run, wait_until

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
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
            os.link(os.path.join(self.world.master, name), self.path(name))

    def stamp(self, at_s):
        """A timestamp of its own: no longer the master's."""
        if os.path.exists(self.path("timestamp")):
            os.unlink(self.path("timestamp"))
        self.put("timestamp", f"{int(at_s)}\n")

    def answer(self, status):
        """Answer everything with that status; None: as a mirror does again."""
        flag = self.path(f".{status}")
        for name in (".404", ".403", ".301", ".503"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        if status is not None:
            open(flag, "w").close()

    def down(self, *addresses):
        for address in addresses or self.addresses:
            self.world.cut(address)

    def up(self, *addresses):
        for address in addresses or self.addresses:
            self.world.mend(address)


class MirrorWorld:
    """mirrors: [(host, country, [address])]. Closed with the case."""

    def __init__(self, case, mirrors):
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
        ip("-n", self.name, "link", "set", "lo", "up")
        for network in NETWORKS4 + [NETWORK6]:
            ip("-n", self.name, "route", "add", "local", network, "dev", "lo")
        # An IPv6 socket binds only to an address that is there, whatever the routes say.
        status, text = run(["ip", "netns", "exec", self.name, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind"])
        check(status == 0, f"ip_nonlocal_bind: {text}")
        self.cuts = set()
        self.mirrors = [Mirror(self, *mirror) for mirror in mirrors]
        self.references = [Mirror(self, f"reference{i}.example", "XX", [address]) for i, address in enumerate(REFERENCES)]
        self.by_host = {mirror.host: mirror for mirror in self.mirrors}
        self.start_nginx()

    def path(self, name):
        return os.path.join(self.folder, name)

    def remove(self):
        if getattr(self, "web", None) and self.web.poll() is None:
            self.web.send_signal(signal.SIGQUIT)
            try:
                self.web.wait(10)
            except subprocess.TimeoutExpired:
                self.web.kill()
                self.web.wait()
        run(["ip", "netns", "del", self.name])

    def start_nginx(self):
        servers = []
        for mirror in self.mirrors + self.references:
            listens = " ".join(f"listen {f'[{a}]' if ':' in a else a}:80;" for a in mirror.addresses)
            flags = " ".join(f"if (-f $document_root/.{status}) {{ {action}; }}" for status, action in
                             ((503, "return 503"), (404, "return 404"), (403, "return 403"),
                              (301, "return 301 http://elsewhere.example$request_uri")))
            servers.append(f"server {{ {listens} root {mirror.folder}; {flags} }}")
        conf = f"""
            daemon off; master_process off; pid {self.path("nginx.pid")}; error_log {self.path("logs/error.log")};
            events {{ worker_connections 4096; }}
            http {{ access_log {self.path("logs/access.log")} combined buffer=4k flush=1s; default_type application/octet-stream;
                keepalive_requests 100; server_tokens off;
                client_body_temp_path {self.path("temp/b")}; proxy_temp_path {self.path("temp/p")};
                fastcgi_temp_path {self.path("temp/f")}; uwsgi_temp_path {self.path("temp/u")}; scgi_temp_path {self.path("temp/s")};
                {chr(10).join(servers)} }}"""
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

    # Nobody there: refused at once, as by a host whose web server has stopped, or as if the cable were cut.
    def cut(self, address):
        if address in self.cuts:
            return
        self.cuts.add(address)
        length = 128 if ":" in address else 32
        ip("-n", self.name, "route", "add", "unreachable", f"{address}/{length}", "table", "local")

    def mend(self, address):
        if address not in self.cuts:
            return
        self.cuts.discard(address)
        length = 128 if ":" in address else 32
        ip("-n", self.name, "route", "del", "unreachable", f"{address}/{length}", "table", "local")

    # What the master has, and pushes.
    def release(self, databases, cdiffs=(), at_s=None):
        """databases: {name: version} or {name: bytes}; made here unless given as bytes. Only the master has them."""
        at_s = int(at_s or time.time())
        for name, what in databases.items():
            content = what if isinstance(what, bytes) else cvd_file(what, stime=at_s)
            self.write_master(f"{name}.cvd", content, at_s)
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

    def mirrors_text(self):
        return "mirrors = (\n" + ",\n".join(
            f'\t{{ host = "{m.host}"; country = "{m.country}"; addresses = [ {", ".join(chr(34) + a + chr(34) for a in m.addresses)} ];'
            f' admin = "Admin of {m.host} <admin@{m.host}>"; }}' for m in self.mirrors) + "\n);\n"

    def monitor_text(self, **groups):
        """mirrormon.conf in fast time. groups: text of a group's settings, before ours: the first counts not, so only other keys."""
        given = {name.replace("_", "-"): text for name, text in groups.items()}
        monitor = given.pop("monitor", "")
        defaults = {
            "checks": 'interval = "1s"; retry = "300ms"; connect-timeout = "500ms"; timeout = "2s"; databases = [ "daily" ];'
                      ' cdiffs = 1; deep-interval = "0s"; sigtool = "";',
            "decision": 'late-after = "1h"; old-after = "2h"; unreachable-after = 3; return-after = 2; probation = "1s";'
                        ' probation-max = "5s"; flap-window = "30s"; ramp = "20s"; ramp-percent = 25; slow-over = "1s";',
            "announce": 'quorum-percent = 60; limit = "1h"; settle = "1s"; interval = "200ms";',
        }
        references = ",\n".join(f'{{ url = "http://{m.host}"; address = "{m.addresses[0]}"; }}' for m in self.references)
        text = f'monitor: {{ name = "mon1.example"; pool = "clamav"; mirrors = "mirrors.conf"; state-directory = "mon";' \
               f' feed = "feed.json"; feed-interval = "1s"; {monitor} }};\n'
        for name, settings in defaults.items():
            text += f"{name}: {{ {given.pop(name, settings)} }};\n"
        for name, settings in given.items():
            text += f"{name}: {{ {settings} }};\n"
        return text + f"references = ( {references} );\n"

    def monitor(self, place, options=(), **groups):
        """mirrormon with its files in the folder of a Site, where they are written."""
        place.write("mirrors.conf", self.mirrors_text())
        place.write("mirrormon.conf", self.monitor_text(**groups))
        os.makedirs(place.file("mon"), exist_ok=True)
        daemon = Daemon(place.file("mirrormon.conf"), netns=self.name, ready=False, program=MIRRORMON, options=options)
        self.case.stack.callback(daemon.stop)
        return daemon
