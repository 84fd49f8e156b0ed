"""The announce gate: a version goes into DNS when enough mirrors have it, so that a real freshclam finds what it is told of.

Genuine databases come from DNSD_SIGNED_CVD_DIR; "test" of ClamAV's unit tests is the one with patches.
"""
import os
import re
import shutil
import threading
import time

from harness import (POOL_NAMES, ZONE_TEXT, Daemon, Skip, addresses, ask, check, check_equal, mirrors_text, need_program, run, text_of,
                     wait_until)
from mirror_world import MirrorWorld

COUNTRIES = ("DE", "FR", "JP")


def setup(case):
    world = MirrorWorld(case, [(f"m{i}.{c.lower()}.example", c, [f"192.0.2.{10 * n + i}", f"2001:db8::{n}:{i}"])
                               for n, c in enumerate(COUNTRIES, 1) for i in range(1, 4)])
    world.of = lambda country: [mirror for mirror in world.mirrors if mirror.country == country]
    return world


class Clients:
    """freshclam, again and again, each time with version 5 of test.cvd and nothing else to learn from than DNS."""

    def __init__(self, case, world, signed):
        self.world, self.folder = world, os.path.join(case.folder, "clients")
        self.program = os.path.join(case.folder, "freshclam")
        shutil.copy(need_program("freshclam"), self.program)
        self.signed = signed
        self.runs = []
        self.ended = False
        os.mkdir(self.folder)
        etc = f"/etc/netns/{world.name}"
        os.makedirs(etc)
        case.stack.callback(shutil.rmtree, etc)
        with open(f"{etc}/resolv.conf", "w") as file:
            file.write("nameserver 127.0.0.1\noptions timeout:10 attempts:1\n")
        self.thread = threading.Thread(target=self.go_on, daemon=True)
        self.thread.start()
        case.stack.callback(self.end)

    def end(self):
        self.ended = True
        self.thread.join(60)

    def go_on(self):
        while not self.ended:
            for country in COUNTRIES:
                self.runs.append((country, *self.update(country, len(self.runs))))

    def update(self, country, number):
        """(exit status, output, the version it has then)"""
        folder = os.path.join(self.folder, str(number))
        os.mkdir(folder)
        shutil.copy(os.path.join(self.signed, "test-5.cvd"), os.path.join(folder, "test.cvd"))
        shutil.copy(os.path.join(self.signed, "bytecode.cvd"), folder)
        with open(f"{folder}.conf", "w") as file:
            file.write(f"DatabaseDirectory {folder}\nDatabaseOwner root\nDNSDatabaseInfo current.cvd.clamav.net\n"
                       f"DatabaseMirror http://db.{country.lower()}.clamav.net\nExcludeDatabase main\nExcludeDatabase daily\n"
                       "ExtraDatabase test\nMaxAttempts 1\nConnectTimeout 5\nReceiveTimeout 10\nTestDatabases no\n")
        status, text = run(["ip", "netns", "exec", self.world.name, self.program, f"--config-file={folder}.conf", "--stdout"])
        versions = []
        for name in os.listdir(folder):
            if name.startswith("test."):
                with open(os.path.join(folder, name), "rb") as file:
                    versions.append(int(file.read(512).split(b":")[2]))
        return status, text, versions


def requests(world):
    """[(address, status, path)] of clients, as nginx has seen them."""
    with open(world.path("logs/access.log")) as file:
        lines = [line.split(" ", 4) for line in file]
    return [(line[0], int(line[1]), line[3]) for line in lines if len(line) == 5 and not line[4].startswith("ClamAV-MirrorCheck")]


def dnsd_in(case, world, site):
    """dnsd on port 53 of the namespace, which follows the feed of that site."""
    site.write("clamav.zone", ZONE_TEXT)
    site.write("regions.conf", "regions = ();\nneighbours = ();\n")
    site.write("pool.conf", mirrors_text([(m.host, m.country, m.addresses) for m in world.mirrors]))
    versions = 'versions = ( { name = "current.cvd"; feed = "clamav"; database-names = "%d.cvd"; software = "1.4.3"; flevel = 90;' \
               ' main = 62; daily = 27500; bytecode = 19; renew = "1s"; } );'
    # A third of the pool leaves at once when a version is ready: the breaker has to let it, as it is by default.
    pool = '{ name = "clamav"; mirrors = "pool.conf"; regions = "regions.conf"; ttl = "1s"; feed = "feed.json"; }'
    site.conf([f'{{ name = "clamav.net"; file = "clamav.zone"; {POOL_NAMES} {versions} }}'], [pool], listen=["0.0.0.0@53"])
    daemon = Daemon(site.path, netns=world.name, ready=False)
    case.daemons.append(daemon)
    daemon.wait_ready()
    return daemon


def announced(world, daemon):
    """The version of test in DNS; None before there is one."""
    with world.inside():
        answer = ask(daemon, "test.cvd.clamav.net", "TXT", server=("127.0.0.1", 53))
    text = text_of(answer) if answer.answer else ""
    return next((int(field) for field in text.split(":")[:1] if field.isdigit()), None)


def members(world, daemon, country):
    with world.inside():
        return {a for kind in ("A", "AAAA")
                for a in addresses(ask(daemon, f"db.{country.lower()}.clamav.net", kind, server=("127.0.0.1", 53)))}


def check_shunned(world, monitor, daemon, clients):
    """One mirror goes stale and one wrong, with all that clients ask for still there: they leave the answers, no client comes to them, and they
    are back when they are well."""
    wrong, stale = world.of("DE")[0], world.of("FR")[0]
    wrong.put("test.cvd", b"<html>Welcome to nginx!</html>".ljust(600))
    stale.stamp(time.time() - 3 * 3600)
    monitor.wait_out({wrong.host: "wrong-content", stale.host: "old"})
    gone = {address for mirror in (wrong, stale) for address in mirror.addresses}
    wait_until(lambda: not gone & (members(world, daemon, "DE") | members(world, daemon, "FR")), "both have left the answers")
    # One that had asked DNS before may be under way, and its last line not be in nginx's log.
    n = len(clients.runs)
    wait_until(lambda: len(clients.runs) > n + 1, "clients that had resolved before are done", 40)
    n, before_n = len(clients.runs), len(requests(world))
    wait_until(lambda: len(clients.runs) > n + 2 * len(COUNTRIES), "two clients of each country", 40)
    after = requests(world)[before_n:]
    asked = {address for address, _, _ in after}
    check_equal(asked & gone, set(), "mirrors that are out and were asked")
    for country in "DE", "FR":
        check(asked & {address for mirror in world.of(country) for address in mirror.addresses}, f"nobody of {country} was asked: {after}")
    for mirror in wrong, stale:
        mirror.sync()
    monitor.wait_out({})
    wait_until(lambda: gone <= members(world, daemon, "DE") | members(world, daemon, "FR"), "both are back in the answers")


def test_rollout(case, world):
    """A patch reaches mirrors one by one. It is announced with two of three in each country, the third has left then;
    no freshclam ever asks a mirror for what it has not."""
    signed = os.environ.get("DNSD_SIGNED_CVD_DIR")
    if not signed:
        raise Skip("needs genuine databases: set DNSD_SIGNED_CVD_DIR")
    genuine = {}
    for name in "test-5.cvd", "test-6.cvd", "test-6.cdiff", "test-5.cdiff", "bytecode.cvd":
        with open(os.path.join(signed, name), "rb") as file:
            genuine[name] = file.read()
    world.release({"test": genuine["test-5.cvd"], "bytecode": genuine["bytecode.cvd"]}, {"test-5.cdiff": genuine["test-5.cdiff"]})
    world.push()
    world.heal(case)
    site = case.site()
    monitor = world.monitor(site, checks={"databases": '[ "test" ]', "patched": '"test"', "interval": '"500ms"', "retry": '"200ms"'},
                            site={"directory": '"html"', "interval": '"300ms"'})
    wait_until(lambda: (monitor.feed() or {}).get("versions", {}).get("test") == 5, "version 5 in the feed")
    daemon = dnsd_in(case, world, site)
    wait_until(lambda: announced(world, daemon) == 5, "version 5 in DNS")
    clients = Clients(case, world, signed)
    wait_until(lambda: len(clients.runs) >= 3, "three clients that have nothing to do")

    world.release({"test": genuine["test-6.cvd"]}, {"test-6.cdiff": genuine["test-6.cdiff"]})
    world.push([])
    first, second, last = ([world.of(country)[i] for country in COUNTRIES] for i in range(3))
    for mirror in first + second[:-1]:
        mirror.sync()
        serial = monitor.feed()["serial"]
        monitor.wait_feed(serial + 1)
        check_equal(announced(world, daemon), 5, f"the version in DNS when {mirror.host} has the next")
    with open(site.file("html/versions.html")) as file:
        check("JP 1 of 3" in file.read(), "the page of versions does not say what is waited for")
    second[-1].sync()
    wait_until(lambda: announced(world, daemon) == 6, "version 6 in DNS", every_s=0.005)
    for country, mirror in zip(COUNTRIES, last):
        check_equal(members(world, daemon, country) & set(mirror.addresses), set(), f"{mirror.host} in db.{country.lower()} with version 6 in DNS")
    check_equal(monitor.out(), {mirror.host: "out-of-sync" for mirror in last}, "what is out")
    n = len(clients.runs)
    wait_until(lambda: len(clients.runs) > n + 6, "two clients of each country after it", 40)
    for mirror in last:
        mirror.sync()
    monitor.wait_out({})
    n = len(clients.runs)
    wait_until(lambda: len(clients.runs) > n + 3, "a client of each country at the end", 40)
    check_shunned(world, monitor, daemon, clients)
    clients.end()

    for country, status, text, versions in clients.runs:
        check(status == 0 and len(versions) == 1, f"freshclam in {country} ends with {status}:\n{text}")
        check(not re.search(r"WARNING|ERROR|not found|\b404\b", text), f"freshclam in {country} complains:\n{text}")
    had = [versions[0] for _, _, _, versions in clients.runs]
    check_equal(had, sorted(had), "versions of the clients, one after the other")
    check_equal((had[0], had[-1]), (5, 6), "versions of the first and the last one")
    seen = requests(world)
    check(seen, "no request of a client")
    check_equal([request for request in seen if request[1] not in (200, 304, 206)], [], "requests that a mirror could not answer")
    check_equal({path for _, _, path in seen}, {"/test-6.cdiff"}, "what was asked for")


def daily(world, case, version, **announce):
    """All have that daily, and a monitor has announced it."""
    world.release({"daily": version}, {f"daily-{version}.cdiff": b"ClamAV-Diff:"})
    world.push()
    world.heal(case)
    monitor = world.monitor(case.site(), checks={"interval": '"500ms"', "retry": '"200ms"'}, announce={k: f'"{v}"' for k, v in announce.items()})
    wait_until(lambda: (monitor.feed() or {}).get("versions", {}).get("daily") == version, f"daily {version} in the feed")
    return monitor


def test_limit(case, world):
    """A country that has nothing of it: waited for until the limit, then it is announced, and that country is out-of-sync."""
    monitor = daily(world, case, 200, limit="4s")
    world.release({"daily": 201}, {"daily-201.cdiff": b"ClamAV-Diff:"})
    world.push(world.of("DE") + world.of("JP"))
    begin = time.monotonic()
    want = {mirror.host: "out-of-sync" for mirror in world.of("FR")}
    feed = wait_until(lambda: (feed := monitor.feed())["versions"]["daily"] == 201 and feed, "201 in the feed")
    took = time.monotonic() - begin
    check(took > 4, f"announced after {took:.1f} s, where a country has none of it and the limit is 4 s")
    check_equal({e["mirror"]: e["reason"] for e in feed["excluded"]}, want, "what is out by the feed that announces it")
    world.push()
    monitor.wait_out({})


def test_no_quorum(case, world):
    """Fewer than the quorum of all have it: not even the limit makes it known."""
    monitor = daily(world, case, 210, limit="1s")
    world.release({"daily": 211}, {"daily-211.cdiff": b"ClamAV-Diff:"})
    world.push(world.of("DE"))
    end = time.monotonic() + 4
    while time.monotonic() < end:
        feed = monitor.wait_feed(monitor.feed()["serial"])
        check_equal((feed["versions"]["daily"], feed["excluded"]), (210, []), "version and who is out, with three of nine")
    world.push(world.of("FR"))
    wait_until(lambda: monitor.feed()["versions"]["daily"] == 211, "211 with six of nine")


def test_no_patch(case, world):
    """The database without the patch to it: does not count, and is out-of-sync when the others have both."""
    monitor = daily(world, case, 220)
    world.release({"daily": 221}, {"daily-221.cdiff": b"ClamAV-Diff:"})
    halves = [world.of(country)[0] for country in COUNTRIES]
    world.push([])
    for mirror in world.mirrors:
        mirror.sync("daily.cvd", "timestamp")
    serial = monitor.feed()["serial"]
    while monitor.feed()["serial"] < serial + 3:
        feed = monitor.wait_feed(monitor.feed()["serial"])
        check_equal((feed["versions"]["daily"], feed["excluded"]), (220, []), "version and who is out, with nine of nine without the patch")
    for mirror in world.mirrors:
        if mirror not in halves:
            mirror.sync()
    wait_until(lambda: monitor.feed()["versions"]["daily"] == 221, "221 in the feed")
    monitor.wait_out({mirror.host: "out-of-sync" for mirror in halves})
    monitor.log.wait(f"mirror {halves[0].host}: none -> out-of-sync: has daily 221")
    for mirror in halves:
        mirror.sync()
    monitor.wait_out({})
