"""The state directory, the control socket and jobs in the background, where one gets in the other's way."""
import json
import os
import signal
import socket
import threading
import time

from harness import DNSD, DNSDCTL, STATE, ZONE_TEXT, addresses, ask, check, check_equal, cvd_file, run, text_of, wait_until

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
DE = {f"192.0.2.{i}" for i in range(1, 5)}


class World:
    """A daemon with a control socket; it keeps its state in the folder state."""

    def __init__(self, case, state="state", pool=None):
        self.case = case
        self.site = case.site()
        self.pool = pool
        self.configure(state)
        self.daemon = case.daemon(self.site)

    def configure(self, state, more=""):
        if state:
            os.makedirs(self.site.file(state), exist_ok=True)
            more += f' state-directory = "{state}";'
        self.site.pool_site(MIRRORS, pool=self.pool, server=f'control = "control.sock"; {more}')

    def ctl(self, *words):
        """A command that must be done, and be answered."""
        status, text = run([DNSDCTL, "-s", self.site.file("control.sock"), "-t", "15", *words])
        check_equal(status, 0, f"exit status of dnsdctl {' '.join(words)}: {text}")
        return text

    def restart(self):
        self.daemon.kill()
        self.daemon = self.case.daemon(self.site)

    def members(self):
        return set(addresses(ask(self.daemon, "db.de.clamav.test", "A")))

    def journal(self, folder="state"):
        with open(os.path.join(self.site.file(folder), "journal.jsonl")) as file:
            return [json.loads(line) for line in file]


def test_damaged_overrides(case, _):
    """A file of overrides that is of no use is told, and no reason not to serve."""
    world = World(case)
    world.daemon.stop()
    world.site.write("state/overrides.json", "{")
    status, text = run([DNSD, "-c", world.site.path, "-t"])
    check_equal(status, 0, f"exit status; {text}")
    check("overrides.json" in text, text)
    world.daemon = case.daemon(world.site)
    check_equal(world.members(), DE, "members")


def test_source_lost_at_start(case, _):
    """A start while the directory of the databases is of no use: with what was kept everything is served, the record with the time it had."""
    site = case.site()
    for name, version in (("main", 62), ("daily", 27500), ("bytecode", 335), ("test", 6)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    os.mkdir(site.file("state"))
    site.pool_site(MIRRORS, server='state-directory = "state";', versions='{ name = "current.cvd"; directory = "cvd"; '
                   'software = "1.4.3"; database-names = "%d.cvd"; renew = "1s"; }')
    kept = site.file("state/versions.json")
    daemon = case.daemon(site)
    wait_until(lambda: os.path.exists(kept), "the numbers are kept")

    def spoil():
        site.write("cvd/daily.cvd", b"ClamAV-VDB:short")

    def take_away():
        os.rename(site.file("cvd"), site.file("cvd.away"))

    for what, change in (("daily.cvd is damaged", spoil), ("the directory is away", take_away)):
        daemon.kill()
        with open(kept) as file:
            verified = json.load(file)[0]["verified"]
        change()
        daemon = case.daemon(site)
        texts = [text_of(ask(daemon, f"{name}.cvd.clamav.test", "TXT")) for name in ("current", "daily", "test")]
        check_equal(texts, [f"1.4.3:62:27500:{verified}:0:90:49192:335", f"27500:{verified}", f"6:{verified}"], f"records when {what}")
        check_equal(set(addresses(ask(daemon, "db.de.clamav.test", "A"))), DE, f"mirrors when {what}")
    daemon.kill()
    os.unlink(kept)
    status, text = run([DNSD, "-c", site.path, "-t"])
    check_equal(status, 1, f"exit status with nothing kept; {text}")
    check("there is no earlier state to serve" in text, text)


def test_long_path(case, _):
    """A state directory whose path is too long is told."""
    site = case.site()
    site.pool_site(MIRRORS, server=f'state-directory = "/{"a/" * 2043}";')
    status, text = run([DNSD, "-c", site.path, "-t"])
    check_equal(status, 0, f"exit status; {text}")
    check("cannot read the overrides" in text, text)


def test_directory_gone(case, _):
    """A reload that takes the state directory away is answered, and so is what comes after it."""
    world = World(case)
    world.configure(None)
    world.ctl("reload")
    world.ctl("status")


def test_directory_moved(case, _):
    """Overrides, feeds and the journal are in another directory once a reload names it."""
    world = World(case, pool={"feed": '"feed.json"'})
    world.site.write("feed.json", json.dumps({"format": 1, "serial": 3, "excluded": [{"mirror": "m2.de.example", "reason": "old"}]}))
    world.ctl("reload")
    world.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    for folder in ("other", "third"):
        if folder == "third":
            world.configure(None)
            world.ctl("reload")
        world.configure(folder)
        world.ctl("reload")
        check_equal(world.journal(folder)[0]["type"], "base", "first record")
        wait_until(lambda: os.path.exists(world.site.file(f"{folder}/feed-clamav.saved")), "the feed is kept")
        os.unlink(world.site.file("feed.json"))
        world.restart()
        check_equal(world.members(), DE - {"192.0.2.1", "192.0.2.2"}, f"members after kill -9, state in {folder}")
        world.site.write("feed.json", json.dumps({"format": 1, "serial": 4, "excluded": [{"mirror": "m2.de.example", "reason": "old"}]}))
        world.ctl("reload")


def test_reload_refused(case, _):
    """A reload that fails at its listeners leaves no trace in the journal."""
    world = World(case)
    world.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    before = len(world.journal())
    world.site.pool_site(MIRRORS[:2], listen=("192.0.2.77@0",), server='control = "control.sock"; state-directory = "state";')
    world.daemon.reload(fails=True)
    world.ctl("mirror", "auto", "m1.de.example")
    kinds = [(record["type"], record.get("why")) for record in world.journal()[before:]]
    check(("base", "reload") not in kinds, f"the journal tells of the reload: {kinds}")


def test_feed_beside_state(case, _):
    """A feed in the state directory: what is kept there does not set off another look, which would keep it again."""
    world = World(case, pool={"feed": '"state/feed.json"'})
    world.site.write("state/feed.json", json.dumps({"format": 1, "serial": 3}))
    world.daemon.log.wait("feed serial 3 in force")
    generation = lambda: json.loads(world.ctl("status", "--json"))["generation"]
    wait_until(lambda: os.path.exists(world.site.file("state/feed-clamav.saved")), "the feed is kept")
    before = generation()
    for _ in range(20):
        generation()
    check(generation() - before <= 2, f"{generation() - before} generations with nothing to do")
    world.site.write("state/feed.json", json.dumps({"format": 1, "serial": 4}))
    world.daemon.log.wait("feed serial 4 in force")


def test_told_once(case, _):
    """A feed that has expired is told and noted once, however often it is looked at."""
    world = World(case, pool={"feed": '"feed.json"'})
    world.site.write("feed.json", json.dumps({"format": 1, "serial": 3, "valid-until": int(time.time()) - 60}))
    world.daemon.log.wait("and there is no newer one")
    for _ in range(3):
        world.ctl("reload")
        world.site.write("other", "")
        world.ctl("status")
    world.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    expired = [record for record in world.journal() if record.get("event") == "expired"]
    check_equal(len(expired), 1, "records of it")
    check_equal(sum("and there is no newer one" in line for line in world.daemon.log.since(0)), 1, "lines in the log")


def test_flood(case, _):
    """Commands without end do not keep a reload from its turn."""
    world = World(case)
    end = threading.Event()
    done = []

    def flood(number):
        request = {"command": "mirror", "action": "down", "mirror": MIRRORS[number % 4][0], "reason": "flood"}
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rw") as file:
            sock.connect(world.site.file("control.sock"))
            while not end.is_set():
                file.write(json.dumps(request) + "\n")
                file.flush()
                done.append(json.loads(file.readline())["ok"])

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(done) > 50, "commands are done")
        mark = world.daemon.log.mark()
        world.daemon.send_signal(signal.SIGHUP)
        world.daemon.send_signal(signal.SIGUSR1)  # its lines come when the signals do, whoever waits for a turn
        world.daemon.log.wait(r"\breloaded\b", mark)
        lines = world.daemon.log.since(mark)
    finally:
        end.set()
        for thread in threads:
            thread.join()
    check(all(done), "each is done")
    told = [next(i for i, line in enumerate(lines) if word in line) for word in ("counter tcp_open=", "reloaded")]
    between = sum("down: flood" in line for line in lines[told[0]:told[1]])
    check(between <= 32, f"{between} commands went before the reload")


def test_second_hangup(case, _):
    """The configuration is mended while a reload of it is about to fail: the second signal counts."""
    world = World(case)
    slow = "".join(f"n{i}\tA\t192.0.2.1\n" for i in range(300000))
    world.site.write("clamav.zone", open(world.site.file("clamav.zone")).read() + slow + "bad\tA\tx\n")
    mark = world.daemon.log.mark()
    world.daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: any("clamav.zone" in os.readlink(f"/proc/{world.daemon.pid}/fd/{fd}") for fd in fds(world.daemon.pid))
               or world.daemon.log.since(mark), "the reload has begun", every_s=0.001)
    world.site.write("clamav.zone", "$TTL 1h\n@ SOA ns1 h 2 3h 30m 2w 5m\n@ NS ns1\nns1 A 192.0.2.251\n")
    world.daemon.send_signal(signal.SIGHUP)
    world.daemon.log.wait("reload failed", mark)
    world.daemon.log.wait(r"\breloaded\b", mark)


def test_milliseconds(case, _):
    """A monitor that counts milliseconds is told so, and does not keep anybody from looking back."""
    world = World(case, pool={"feed": '"feed.json"'})
    excluded = [{"mirror": "m2.de.example", "reason": "old", "since": int(time.time() * 1000)}]
    world.site.write("feed.json", json.dumps({"format": 1, "serial": 3, "excluded": excluded}))
    world.daemon.log.wait('"since" is no time')
    world.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    pool = json.loads(world.ctl("pool", "show", "--json", "--at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))[0]
    check_equal({entry["mirror"]: entry["state"] for entry in pool["mirrors"]}["m1.de.example"], "admin", "then")


REFUSED = [
    ({"reason": "disk\n2026-11-21T10:00:00Z info: control: all is well"}, "control character"),
    ({"reason": "disk\u001b[2J"}, "control character"),
    ({"reason": "disk", "at": 1795000000}, '"at" is text'),
    ({"reason": "disk", "pool": ["clamav"]}, '"pool" is text'),
    ({"reason": "disk", "for": 60}, '"for" is text'),
]


def test_refused(case, _):
    """What can't be meant is not carried out as if it were not there."""
    world = World(case)
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rw") as file:
        sock.connect(world.site.file("control.sock"))
        for more, why in REFUSED:
            file.write(json.dumps({"command": "mirror", "action": "down", "mirror": "m1.de.example"} | more) + "\n")
            file.flush()
            response = json.loads(file.readline())
            check(not response["ok"] and why in response["error"], f"{more}: {response}")
    check_equal(world.members(), DE, "members")
    check(not any("all is well" in line for line in world.daemon.log.since(0)), "a line of the log was made up")


def fds(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.path.lexists(f"/proc/{pid}/fd/{fd}"):
            yield fd


def test_no_pools(case, _):
    """Without a pool there is no base for the journal: the state is written once, not for ever, and a stop has nothing to wait for."""
    site = case.site()
    site.write("clamav.zone", ZONE_TEXT)
    site.folder_for("state")
    site.conf([site.zone()], server=STATE)
    case.daemon(site).stop()


def test_base_fills_journal(case, _):
    """A base that is longer than a journal may be: journals are not set aside one after the other."""
    mirrors = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 61)]
    site = case.site()
    site.write("feed.json", json.dumps({"format": 1, "serial": 1, "excluded": [
        {"mirror": host, "reason": "late", "detail": "x" * 150} for host, _, _ in mirrors[:50]]}))
    site.folder_for("state")
    site.pool_site(mirrors, pool={"feed": '"feed.json"'}, server=STATE + " journal-max-bytes = 4096;")
    case.daemon(site).stop()
    old = [name for name in os.listdir(site.file("state")) if name.startswith("journal.jsonl.")]
    check(len(old) <= 1, f"journals that were set aside: {old}")
