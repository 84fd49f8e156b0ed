"""The state directory: what outlives a restart, and a directory that is full, read-only, missing or damaged."""
import contextlib
import json
import os
import resource
import shutil
import subprocess
import time

from harness import (STATE, Skip, addresses, ask, check, check_equal, cvd_file, text_of, wait_until)

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
DE = {f"192.0.2.{i}" for i in range(1, 5)}
CANNOT = "cannot keep the state: "


def feed(serial, *hosts):
    return json.dumps({"format": 1, "serial": serial, "excluded": [{"mirror": host, "reason": "old"} for host in hosts]})


def without(*numbers):
    return DE - {f"192.0.2.{number}" for number in numbers}


class World:
    """A daemon with the folder "state", a feed and a version record."""

    def __init__(self, case, folder=True):
        self.case = case
        self.site = case.site()
        if folder:
            self.site.folder_for("state")
        self.site.write("cvd/daily.cvd", cvd_file(27500))
        self.site.write("feed.json", feed(5, "m4.de.example"))
        versions = '{ name = "current.cvd"; software = "1.4.3"; main = 62; bytecode = 335; directory = "cvd"; renew = "1h"; }'
        self.site.pool_site(MIRRORS, pool={"feed": '"feed.json"'}, versions=versions, server=STATE)
        self.daemon = None

    def start(self):
        self.daemon = self.case.daemon(self.site)
        return self.daemon

    def restart(self, kill=True):
        if kill:
            self.daemon.kill()
        else:
            self.daemon.stop()
        return self.start()

    def state(self, name=""):
        return self.site.file(os.path.join("state", name))

    def members(self):
        return set(addresses(ask(self.daemon, "db.de.clamav.test")))

    def states(self):
        """What is told of each mirror, without the moment."""
        return self.daemon.ctl("pool", "show")[0]["mirrors"]

    def down(self, number, *words, warns=None):
        """A mirror down at once. warns: what is told beside."""
        said = self.daemon.dnsdctl("mirror", "down", f"m{number}.de.example", "--reason", "disk", *words)
        check_equal(said.status, 0, said.err)
        check_equal(said.err, f"warning: not kept over a restart: {warns}\n" if warns else "", "what is told beside")
        check(f"192.0.2.{number}" not in self.members(), "it is in the next answer")

    def problems(self):
        return self.daemon.ctl("status")["problems"]

    def wait_kept(self):
        """All is on disk: the numbers of versions come last."""
        wait_until(lambda: os.path.exists(self.state("versions.json")), "versions.json is there")
        check_equal(self.problems(), [], "problems")

    def journal(self):
        with open(self.state("journal.jsonl")) as file:
            return [json.loads(line) for line in file]


def test_restart(case, _):
    """Overrides survive a stop and a kill -9, whole; what ends or begins meanwhile has ended or begun."""
    world = World(case)
    daemon = world.start()
    world.down(1, "--for", "1h")
    daemon.ctl("mirror", "up", "m4.de.example", "--reason", "the monitor is wrong")
    daemon.ctl("mirror", "drain", "m2.de.example", "--in", "1h", "--reason", "move")
    before = world.states()
    check_equal([entry["state"] for entry in before], ["admin", "in", "in", "in"], "states")
    for kill in (False, True, True):
        daemon = world.restart(kill)
        check_equal(world.states(), before, f"states after {'kill -9' if kill else 'a stop'}")
    check_equal(world.members(), without(1), "members")
    daemon.ctl("mirror", "auto", "m2.de.example")
    daemon.ctl("mirror", "drain", "m3.de.example", "--in", "1s", "--reason", "move")
    until = time.time() + 2.1
    daemon.ctl("mirror", "down", "m2.de.example", "--for", "1s", "--reason", "disk")  # may be over before anybody can look
    daemon.kill()
    time.sleep(max(0, until - time.time()))
    world.start()
    check_equal([entry["state"] for entry in world.states()], ["admin", "in", "maintenance", "in"], "states later")
    world.daemon.ctl("mirror", "auto", "m1.de.example")
    world.restart()
    check("192.0.2.1" in world.members(), "one that was taken back stays so")


def test_confirmed(case, _):
    """What dnsdctl has confirmed is on disk: kill -9 right after it, ten times."""
    world = World(case)
    world.start()
    for number in range(10):
        host = f"m{number % 3 + 1}.de.example"
        action = "down" if number % 2 == 0 else "up"
        world.daemon.ctl("mirror", action, host, "--reason", f"round {number}")
        world.restart()
        entry = next(entry for entry in world.states() if entry["mirror"] == host)
        check_equal((entry.get("detail"), entry["state"]), (f"round {number}", "admin" if action == "down" else "in"), f"round {number}")


# --- what cannot be written to ---

def check_trouble(world, why, cure):
    """Served on, told once, shown, warned of; and after the cure all is kept without anybody's doing."""
    mark = 0
    world.down(1, warns=why)
    world.down(2, warns=why)
    world.daemon.log.wait(f"{CANNOT}{why}", mark)
    check_equal([problem for problem in world.problems() if "cannot be kept" in problem], [f"the state cannot be kept: {why}"], "problems")
    world.daemon.ctl("reload")
    told = [line for line in world.daemon.log.since(mark) if CANNOT in line]
    check_equal(len(told), 1, f"lines about it: {told}")
    check_equal(world.members(), without(1, 2, 4), "members")
    mark = world.daemon.log.mark()
    cure()
    world.daemon.log.wait("the state is kept again", mark)
    check_equal(world.problems(), [], "problems after the cure")
    check_equal(world.journal()[-1]["pool"], "clamav", "the last record")
    os.rename(world.site.file("feed.json"), world.site.file("feed.away"))
    world.restart()
    check_equal(world.members(), without(1, 2, 4), "members after kill -9 and without the feed")


def test_missing(case, _):
    """No such folder; then there is one."""
    world = World(case, folder=False)
    world.start()
    check_trouble(world, "No such file or directory", lambda: os.mkdir(world.state()))


def test_no_folder(case, _):
    """A file in its place."""
    world = World(case, folder=False)
    world.site.write("state", "x")
    world.start()

    def cure():
        os.unlink(world.site.file("state"))
        os.mkdir(world.state())
    check_trouble(world, "Not a directory", cure)


def test_removed(case, _):
    """The folder goes while it is in use, and comes back empty: it gets all there is, the journal begins anew."""
    world = World(case)
    world.start()
    world.down(1)
    world.wait_kept()
    shutil.rmtree(world.state())
    check_trouble(world, "No such file or directory", lambda: os.mkdir(world.state()))
    records = [(record["type"], record.get("why")) for record in world.journal()]
    check(records[0][0] == "base" or ("base", "journal was gone") in records, f"records of the journal: {records}")


def test_journal_removed(case, _):
    """The journal alone goes: the next record begins another."""
    world = World(case)
    world.start()
    world.wait_kept()
    os.unlink(world.state("journal.jsonl"))
    world.down(1)
    wait_until(lambda: any(record["type"] == "base" for record in world.journal()), "the new journal has the whole state")
    check_equal(world.problems(), [], "problems")


@contextlib.contextmanager
def small_disk(world):
    if os.getuid() != 0:
        raise Skip("mounting a file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", world.state()], stderr=subprocess.PIPE, text=True)
    if mounted.returncode != 0:
        raise Skip(f"cannot mount a file system: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        if world.daemon:
            world.daemon.kill()
        subprocess.run(["umount", world.state()], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)


def test_full(case, _):
    """A disk that is full."""
    world = World(case)
    with small_disk(world):
        world.start()
        world.wait_kept()
        fill(world.state("filling"))
        before = os.path.getsize(world.state("journal.jsonl"))
        check_trouble(world, "No space left on device", lambda: os.unlink(world.state("filling")))
        check(os.path.getsize(world.state("journal.jsonl")) > before, "the journal goes on")
        check(not [name for name in os.listdir(world.state()) if name.endswith(".new")], "half a file is left")


def test_read_only(case, _):
    """A disk that has become read-only."""
    world = World(case)
    with small_disk(world):
        world.start()
        world.wait_kept()
        # The open journal keeps it from being mounted read-only; so the daemon starts on it.
        world.daemon.stop()
        subprocess.run(["mount", "-o", "remount,ro", world.state()], check=True)
        world.start()
        check_trouble(world, "Read-only file system", lambda: subprocess.run(["mount", "-o", "remount,rw", world.state()], check=True))


def test_limit(case, _):
    """A limit on the size of files: an error like others, not the end of the daemon."""
    world = World(case)
    world.start()
    world.wait_kept()
    before = resource.prlimit(world.daemon.pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    check_trouble(world, "File too large", lambda: resource.prlimit(world.daemon.pid, resource.RLIMIT_FSIZE, before))


def test_given_up(case, _):
    """A reload without a state directory ends the trouble."""
    world = World(case, folder=False)
    world.start()
    wait_until(world.problems, "there is a problem")
    world.site.pool_site(MIRRORS, server='control = "ctl.sock";')
    world.daemon.ctl("reload")
    wait_until(lambda: not world.problems(), f"no problem is left: {world.problems()}")
    world.down(1, warns="server.state-directory is not set")


# --- what cannot be read ---

def damage_empty(path):
    open(path, "w").close()


def damage_garbage(path):
    with open(path, "wb") as file:
        file.write(bytes(range(256)) * 20 + b"\n")


def damage_cut(path):
    os.truncate(path, os.path.getsize(path) // 2 + 1)


def damage_type(path):
    with open(path, "w") as file:
        file.write('{"format": 1, "overrides": 7, "serial": -1}\n')


def damage_folder(path):
    os.unlink(path)
    os.mkdir(path)


DAMAGES = (damage_empty, damage_garbage, damage_cut, damage_type, damage_folder)


def check_damaged(case, name, told, want, needs_feed=False):
    """Each kind of damage to one file: told with its name, served on, and mended by the next change."""
    world = World(case)
    world.start()
    world.down(1)
    world.wait_kept()
    world.daemon.stop()
    if needs_feed:
        os.unlink(world.site.file("feed.json"))
    backup = world.site.file("backup")
    shutil.copytree(world.state(), backup)
    for damage in DAMAGES:
        shutil.rmtree(world.state())
        shutil.copytree(backup, world.state())
        damage(world.state(name))
        world.start()
        if told:
            world.daemon.log.wait(told)
        check_equal(world.members(), want, f"members after {damage.__name__} of {name}")
        check_equal(text_of(ask(world.daemon, "current.cvd.clamav.test", "TXT")).split(":")[2], "27500", "the version record")
        if damage is not damage_folder:
            world.down(2)
            world.restart()
            check("192.0.2.2" not in world.members(), f"an override after {damage.__name__} of {name} is kept")
        world.daemon.stop()


def test_damaged_overrides(case, _):
    check_damaged(case, "overrides.json", r"overrides\.json(:\d+)?: ", without(4))


def test_damaged_feed(case, _):
    """Without the feed itself."""
    check_damaged(case, "feed-clamav.saved", r"feed-clamav\.saved(:\d+)?: ", without(1), needs_feed=True)


def test_damaged_versions(case, _):
    check_damaged(case, "versions.json", r"versions\.json: |version numbers kept from the last run are damaged", without(1, 4))


def test_damaged_journal(case, _):
    """It is of the past; what cannot be read of it is stepped over."""
    check_damaged(case, "journal.jsonl", None, without(1, 4))


def test_journal_with_damage(case, _):
    """Looking back over a damaged line."""
    world = World(case)
    world.start()
    world.down(1)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    world.daemon.stop()
    with open(world.state("journal.jsonl"), "a") as file:
        file.write('{"t": 1, "type": \n\x00\xff\n[1]\n{"t": "x", "type": 5}\n{"t": 1, "type": "mirror", "pool": "clamav", "mirror": 5}\n{"half')
    world.start()
    time.sleep(1.01 - time.time() % 1)  # the journal counts seconds
    world.daemon.ctl("mirror", "auto", "m1.de.example")
    then = {entry["mirror"]: entry["state"] for entry in world.daemon.ctl("pool", "show", "--at", at)[0]["mirrors"]}
    check_equal(then["m1.de.example"], "admin", "its state then")
    with open(world.state("journal.jsonl"), errors="replace") as file:
        check(not any('{"half' in line and "base" in line for line in file), "half a line has run into the next")


# --- the last good feed ---

def test_last_feed(case, _):
    """It is in force after a restart when the feed is missing or broken, and its serial still counts."""
    world = World(case)
    world.start()
    world.wait_kept()
    for text in (None, "", "{", feed(4), json.dumps({"format": 2})):
        if text is None:
            os.unlink(world.site.file("feed.json"))
        else:
            world.site.write("feed.json", text)
        world.restart()
        check_equal(world.members(), without(4), f"members with the feed {text!r}")
        check_equal(world.daemon.ctl("feed", "show")[0]["in-force"]["serial"], 5, "serial in force")
    mark = world.daemon.log.mark()
    world.site.write("feed.json", feed(4, "m3.de.example"))
    world.daemon.log.wait("serial 4 is lower than 5", mark)
    check_equal(world.members(), without(4), "members")
    world.site.write("feed.json", feed(6, "m3.de.example"))
    world.daemon.log.wait("feed serial 6 in force", mark)
    check_equal(world.members(), without(3), "members of a higher serial")
