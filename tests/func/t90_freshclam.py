"""A real client: Debian's freshclam, in a network namespace of its own, with dnsd on port 53 and web servers as mirrors.

The namespace has nothing but its loopback, which carries the addresses of mirrors and of a resolver: by the
resolver's address dnsd chooses the country. Genuine, signed databases come from DNSD_SIGNED_CVD_DIR (bytecode.cvd,
test-5.cvd, test-6.cvd, test-6.cdiff); without it the tests that need a good signature are skipped.
"""
import json
import os
import re
import shutil
import subprocess
import sys

from harness import (POOL_NAMES, ZONE_TEXT, Daemon, Output, Skip, check, check_equal, cvd_file, geo_file, mirrors_text,
                     need_program, run)

FOLDER = os.path.dirname(os.path.abspath(__file__))

MIRRORS = {"DE": "198.51.100.49", "FR": "198.51.100.33", "JP": "203.0.113.81", "US": "192.0.2.10"}
# A resolver in each of two countries (tests/data/make-test-geo.sh), and one in a network nobody knows.
RESOLVERS = {"DE": "192.0.2.200", "JP": "203.0.113.53", None: "100.64.0.53"}


def ip(*arguments):
    status, text = run([need_program("ip"), *arguments])
    check(status == 0, f"ip {' '.join(arguments)}: {text}")


class World:
    """The namespace, dnsd in it, the mirrors, and a folder of what they serve."""

    def __init__(self, case):
        if os.geteuid() != 0:
            raise Skip("needs root, for a network namespace")
        self.freshclam = os.path.join(case.folder, "freshclam")
        # A copy: where AppArmor is on, it lets the installed one read only the files of the system's own service.
        shutil.copy(need_program("freshclam"), self.freshclam)
        self.case = case
        self.name = f"dnsdtest-{os.getpid()}"
        status, text = run([need_program("ip"), "netns", "add", self.name])
        if status != 0:
            raise Skip(f"no network namespace to be had: {text.strip()}")
        case.stack.callback(self.remove)
        self.etc = f"/etc/netns/{self.name}"
        os.makedirs(self.etc)
        status, text = run([need_program("ip"), "netns", "exec", self.name, "true"])
        if status != 0:  # some containers and chroots: made, but nothing can be run in it
            raise Skip(f"no network namespace can be entered: {text.strip()}")
        ip("-n", self.name, "link", "set", "lo", "up")
        for address in list(MIRRORS.values()) + list(RESOLVERS.values()):
            ip("-n", self.name, "address", "add", f"{address}/32", "dev", "lo")

        self.signed = os.environ.get("DNSD_SIGNED_CVD_DIR")
        self.www = os.path.join(case.folder, "www")
        os.mkdir(self.www)
        self.make_daemon()
        command = ["ip", "netns", "exec", self.name, sys.executable, os.path.join(FOLDER, "mirror_server.py"), self.www]
        self.web = subprocess.Popen(command + list(MIRRORS.values()), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True)
        self.requests = Output(self.web.stdout)
        self.requests.wait("^ready$")
        self.updates_n = 0

    def make_daemon(self):
        self.site = site = self.case.site()
        site.write("clamav.zone", ZONE_TEXT)
        site.write("mirrors.conf", mirrors_text([(f"m.{c.lower()}.example", c, [a]) for c, a in MIRRORS.items()]))
        site.write("regions.conf", "regions = ();\nneighbours = ();\n")
        for name, file in (("bytecode", "bytecode.cvd"), ("test", "test-6.cvd")):
            if self.signed:
                shutil.copy(os.path.join(self.signed, file), os.path.join(self.www, f"{name}.cvd"))
            else:
                site.write(f"../www/{name}.cvd", cvd_file({"bytecode": 19, "test": 6}[name]))
        if self.signed:
            shutil.copy(os.path.join(self.signed, "test-6.cdiff"), self.www)
        # What the mirrors serve is what is announced: dnsd reads the headers of the same files.
        versions = """versions = ( { name = "current.cvd"; directory = "../www"; database-names = "%d.cvd";
			software = "1.4.3"; flevel = 90; main = 62; daily = 27500; bytecode = 19; } );"""
        zone = f'{{ name = "clamav.net"; file = "clamav.zone"; {POOL_NAMES} {versions} }}'
        site.conf([zone], [site.pool()], geo=f'database = "{geo_file()}";', listen=["0.0.0.0@53"])
        self.daemon = Daemon(site.path, netns=self.name, ready=False)
        self.case.daemons.append(self.daemon)
        self.daemon.wait_ready()

    def remove(self):
        if hasattr(self, "web"):
            self.web.kill()
            self.web.wait()
            self.web.stdin.close()
        run(["ip", "netns", "delete", self.name])
        shutil.rmtree(self.etc, ignore_errors=True)

    def announce(self, name, version):
        """dnsd announces this version, whatever the mirrors have."""
        self.site.write(f"../www/{name}.cvd", cvd_file(version))
        self.daemon.reload()

    def update(self, case, resolver, mirror, local=(), extra=""):
        """Run freshclam once. Returns (exit status, its output, requests the mirrors have seen, local folder).

        local: (name, file) of databases that the client has already
        """
        with open(os.path.join(self.etc, "resolv.conf"), "w") as file:
            file.write(f"nameserver {RESOLVERS[resolver]}\noptions timeout:10 attempts:1\n")
        folder = os.path.join(case.folder, "client")
        os.mkdir(folder)
        for name, source in local:
            shutil.copy(os.path.join(self.signed, source), os.path.join(folder, name))
        conf = os.path.join(case.folder, "freshclam.conf")
        with open(conf, "w") as file:
            file.write(f"""DatabaseDirectory {folder}
DatabaseOwner root
DNSDatabaseInfo current.cvd.clamav.net
DatabaseMirror {mirror}
ExcludeDatabase main
ExcludeDatabase daily
MaxAttempts 1
ConnectTimeout 5
ReceiveTimeout 10
TestDatabases no
{extra}
""")
        mark = self.requests.mark()
        status, text = run(["ip", "netns", "exec", self.name, self.freshclam, f"--config-file={conf}", "--stdout"])
        # What was said before the mirrors repeat this are all requests of that run.
        self.updates_n += 1
        self.web.stdin.write(f"update {self.updates_n} has ended\n")
        self.web.stdin.flush()
        self.requests.wait(f"^update {self.updates_n} has ended$", mark)
        lines = [line for line in self.requests.since(mark) if line.startswith("{")]
        return status, text, [json.loads(line) for line in lines], folder

    def need_signed(self):
        if not self.signed:
            raise Skip("needs genuine databases: set DNSD_SIGNED_CVD_DIR to a folder with bytecode.cvd, test-5.cvd, "
                       "test-6.cvd and test-6.cdiff")


def setup(case):
    return World(case)


def version_of(path):
    with open(path, "rb") as file:
        return int(file.read(512).split(b":")[2])


def test_up_to_date(case, world):
    """Versions match: "up-to-date" by the TXT record alone: one DNS question, no HTTP request."""
    world.need_signed()
    before = world.daemon.counters()
    status, text, requests, _ = world.update(case, "DE", "http://db.local.clamav.net", [("bytecode.cvd", "bytecode.cvd")])
    check_equal(status, 0, f"exit status of freshclam, which says:\n{text}")
    check(re.search(r"bytecode\.cvd database is up-to-date \(version: 19", text), text)
    check_equal(requests, [], "HTTP requests")
    world.daemon.check_moved(before, {"queries_udp": 1, "noerror": 1}, "freshclam with nothing to do")
    check("WARNING" not in text, f"a warning:\n{text}")


def test_country_by_resolver(case, world):
    """db.local leads to the mirror of the resolver's country."""
    status, text, requests, folder = world.update(case, "DE", "http://db.local.clamav.net")
    check({r["address"] for r in requests} == {MIRRORS["DE"]}, f"{requests}\n{text}")
    check_equal((requests[0]["path"], requests[0]["host"]), ("/bytecode.cvd", "db.local.clamav.net"), "first request")
    if world.signed:
        check_equal((status, version_of(os.path.join(folder, "bytecode.cvd"))), (0, 19), f"status, version; {text}")


def test_other_country(case, world):
    """The same client behind a resolver in Japan."""
    _, text, requests, _ = world.update(case, "JP", "http://db.local.clamav.net")
    check({r["address"] for r in requests} == {MIRRORS["JP"]}, f"{requests}\n{text}")


def test_unknown_country(case, world):
    """A resolver of no known country: some mirror of the world."""
    _, text, requests, _ = world.update(case, None, "http://db.local.clamav.net")
    check(requests and {r["address"] for r in requests} <= set(MIRRORS.values()), f"{requests}\n{text}")


def test_configured_country(case, world):
    """DatabaseMirror http://db.fr.clamav.net reaches the French mirror, from wherever."""
    status, text, requests, folder = world.update(case, "JP", "http://db.fr.clamav.net")
    check({r["address"] for r in requests} == {MIRRORS["FR"]}, f"{requests}\n{text}")
    check_equal({r["host"] for r in requests}, {"db.fr.clamav.net"}, "Host header")
    if world.signed:
        check_equal((status, version_of(os.path.join(folder, "bytecode.cvd"))), (0, 19), f"status, version; {text}")


def test_patch(case, world):
    """test.cvd announces version 6 to a client with 5: it fetches one patch from the chosen mirror, and has 6."""
    world.need_signed()
    status, text, requests, folder = world.update(
        case, "DE", "http://db.local.clamav.net", [("bytecode.cvd", "bytecode.cvd"), ("test.cvd", "test-5.cvd")],
        "ExtraDatabase test")
    check_equal(status, 0, f"exit status of freshclam, which says:\n{text}")
    check_equal([(r["address"], r["path"], r["status"]) for r in requests if "cdiff" in r["path"] or r["status"] == 200],
                [(MIRRORS["DE"], "/test-6.cdiff", 200)], f"requests:\n{requests}\n{text}")
    check_equal(version_of(os.path.join(folder, "test.cld")), 6, "version the client has now")


def test_newer_announced(case, world):
    """A newer version announced: the client goes to the mirror of its country to ask for it."""
    world.need_signed()
    world.announce("bytecode", 21)
    status, text, requests, _ = world.update(case, "DE", "http://db.local.clamav.net", [("bytecode.cvd", "bytecode.cvd")])
    check(requests, f"no HTTP request; freshclam says:\n{text}")
    check_equal({r["address"] for r in requests}, {MIRRORS["DE"]}, "mirrors asked")
    check("bytecode-20.cdiff" in requests[0]["path"], f"{requests}")
