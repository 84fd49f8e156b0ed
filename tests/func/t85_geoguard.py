"""The geo database while the daemon runs: a new one is in use at once, an insane one never."""
import os
import shutil
import subprocess
import time

from harness import (DNSD, DNSDCTL, GEODB, Lookups, addresses, ask, check, check_equal, check_within, is_sanitized, run,
                     wait_until)

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m1.fr.example", "FR", ["192.0.2.2"]),
           ("m1.us.example", "US", ["192.0.2.3"])]
DE, FR, US = ["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"]
WIDE = "10.0.0.0/9 DE\n10.128.0.0/9 FR\n2a00::/16 DE\n"
SMALL = "203.0.113.7"  # of a /24: a change of it is no drift


def table(small="DE", wide=WIDE):
    return wide + f"203.0.113.0/24 {small}\n"


def make_database(path, text, built_s=None):
    env = dict(os.environ, SOURCE_DATE_EPOCH=str(int(built_s or time.time())))
    done = subprocess.run([GEODB, "--type", "guard-test", path], input=text, text=True, capture_output=True, env=env)
    check_equal(done.returncode, 0, f"dnsd-geodb: {done.stdout}{done.stderr}")


class World:
    """A daemon with geo/geo.mmdb. The folder of the database is not that of the configuration."""

    def __init__(self, case, text=None, built_s=None, start=True, **keys):
        self.site = case.site()
        os.mkdir(self.site.file("geo"))
        self.path = self.site.file("geo/geo.mmdb")
        make_database(self.path, text or table(), built_s)
        self.configure(**keys)
        self.daemon = case.daemon(self.site) if start else None

    def configure(self, database="geo/geo.mmdb", more="", **keys):
        more += "".join(f" {key.replace('_', '-')} = {value};" for key, value in keys.items())
        self.site.pool_site(MIRRORS, geo=f'database = "{database}"; {more}')

    def replace(self, text, built_s=None):
        """By rename. Returns the mark of the log before."""
        make_database(self.path + ".new", text, built_s)
        mark = self.daemon.log.mark()
        os.rename(self.path + ".new", self.path)
        return mark

    def country(self, address=SMALL):
        return addresses(ask(self.daemon, "db.local.clamav.test", ecs=f"{address}/32"))


def canaries(*items):
    return "canaries = ( " + ", ".join(f'{{ address = "{a}"; country = "{c}"; }}' for a, c in items) + " );"


def test_rename(case, _):
    """A database renamed into place is in use at once, twenty times; as a rule within a second, on a machine of our own always."""
    world = World(case)
    took = []
    with Lookups(world.daemon.addr) as lookups:
        for i in range(20):
            want = (FR, DE)[i % 2]
            check(world.country() != want, "the answer before")
            mark = world.replace(table(("FR", "DE")[i % 2]))
            start = time.monotonic()
            wait_until(lambda want=want: addresses(lookups.ask("db.local.clamav.test", ecs=f"{SMALL}/32")) == want,
                       "the answer of the new database", every_s=0.001)
            took.append(time.monotonic() - start)
            world.daemon.log.wait(r"geo database in use: guard-test built=\d{4}-\d\d-\d\dT\S+Z ranges=\d+\+\d+ took=\d+ms", mark)
    took.sort()
    print(f"     rename to changed answer, 20 times: median {took[10] * 1000:.0f} ms, largest {took[-1] * 1000:.0f} ms")
    check(took[10] < 1 or is_sanitized(), f"the median took {took[10]:.2f} s")
    check_within(took[-1], 1, "the slowest")
    check_equal(len([line for line in world.daemon.log.lines if "geo database in use" in line]), 20, "databases taken into use")


def test_rename_both(case, _):
    """The database of IPv6 clients too."""
    world = World(case, start=False)
    shutil.copy(world.path, world.site.file("geo/v6.mmdb"))
    world.configure(more='database-ipv6 = "geo/v6.mmdb"; max-drift = 100;')
    world.daemon = case.daemon(world.site)
    name = "db.local.clamav.test"
    check_equal(addresses(ask(world.daemon, name, ecs="2a00::/32")), DE, "before")
    make_database(world.site.file("geo/new"), table(wide=WIDE.replace("2a00::/16 DE", "2a00::/16 FR")))
    os.rename(world.site.file("geo/new"), world.site.file("geo/v6.mmdb"))
    wait_until(lambda: addresses(ask(world.daemon, name, ecs="2a00::/32")) == FR, "the new IPv6 database in use")
    check_equal(world.country("10.1.2.3"), DE, "IPv4")


def test_in_place(case, _):
    """Rewritten in place: cut short it is refused once, the table stays; closed whole it is tried again."""
    world = World(case)
    make_database(world.site.file("whole"), table("FR"))
    with open(world.site.file("whole"), "rb") as file:
        whole = file.read()
    mark = world.daemon.log.mark()
    with open(world.path, "r+b") as file:
        file.truncate(100)
    world.daemon.log.wait(r"geo\.mmdb: is not a MaxMind DB file, or its end is missing", mark)
    world.daemon.log.wait(r"geo\.mmdb: refused; the geo database built 20\d\d-\S+Z stays in use", mark)
    check_equal(world.country(), DE, "the old answer")
    with open(world.path, "r+b") as file:
        file.truncate(0)
        file.write(whole[:len(whole) // 2])
        file.flush()
        # A look in between, for another reason.
        mark = world.daemon.log.mark()
        world.daemon.reload()
        world.daemon.log.wait(r"geo\.mmdb: refused", mark)
        check_equal(world.country(), DE, "the old answer, half-way")
        mark = world.daemon.log.mark()
        file.write(whole[len(whole) // 2:])
    world.daemon.log.wait(r"geo database in use", mark)
    wait_until(lambda: world.country() == FR, "the whole file in use")


def test_same_size_in_place(case, _):
    """A file of the same size written over the one in use, at once after a look at it."""
    world = World(case)
    make_database(world.site.file("fr"), table("FR"))
    make_database(world.site.file("de"), table("DE"))
    content = {name: open(world.site.file(name), "rb").read() for name in ("fr", "de")}
    check_equal(len(content["fr"]), len(content["de"]), "sizes")
    for i in range(20):
        names = ("fr", "de") if i % 2 else ("de", "fr")
        for name in names:
            with open(world.path, "r+b") as file:
                file.write(content[name])
            if name == names[0]:
                time.sleep(case.random.uniform(0, 0.004))  # so that a look falls between the two, within one tick
        wait_until(lambda want=(FR, DE)[i % 2]: world.country() == want, "what was written last in use")


def test_refused_once(case, _):
    """A refused file is not loaded again at each look, but at each reload; another file is loaded at once."""
    world = World(case)
    mark = world.daemon.log.mark()
    world.site.write("geo/geo.mmdb", "rubbish")
    world.daemon.log.wait(r"geo\.mmdb: refused", mark)
    mark = world.daemon.log.mark()
    for i in range(5):
        world.site.write("geo/other", str(i))
        time.sleep(0.05)
    mark_reload = world.daemon.log.mark()
    lines = world.daemon.reload()
    check(any("geo.mmdb: refused" in line for line in lines), "a reload looks again")
    check(not any("refused" in line for line in world.daemon.log.lines[mark:mark_reload]), "told again without a reload")
    check_equal(world.country(), DE, "the answer")
    world.replace(table("FR"))
    wait_until(lambda: world.country() == FR, "the next good one in use")


def test_removed(case, _):
    """No file at all: the table stays, over reloads too; a new file is followed."""
    world = World(case)
    os.remove(world.path)
    lines = world.daemon.reload()
    check(any("can't open: No such file" in line for line in lines), "why")
    check_equal(world.country(), DE, "the answer")
    world.replace(table("FR"))
    wait_until(lambda: world.country() == FR, "the new one in use")


def test_canary(case, _):
    """A database that gets a canary wrong stays out."""
    world = World(case, more=canaries((SMALL, "DE"), ("10.200.0.1", "FR")))
    mark = world.replace(table("FR"))
    world.daemon.log.wait(r"canary 203\.0\.113\.7 \(from \S*dnsd\.conf:\d+\) is FR in the new database, not DE", mark)
    world.daemon.log.wait(r"geo\.mmdb: refused", mark)
    check_equal(world.country(), DE, "the answer")
    check(not any("10.200.0.1" in line for line in world.daemon.log.since(mark)), "a canary that is right is not told")
    world.configure(more=canaries((SMALL, "FR")))
    lines = world.daemon.reload()
    check(any("geo database in use" in line for line in lines), "the corrected canary lets it in")
    check_equal(world.country(), FR, "the answer")


def test_canary_at_start(case, _):
    """At the start there is nothing to fall back on: an error, which says how to go on."""
    world = World(case, start=False, more=canaries((SMALL, "US"), ("192.0.2.9", "US")))
    status, text = run([DNSD, "-c", world.site.path, "-t"])
    check_equal(status, 1, text)
    for word in (f"canary {SMALL} ", "is DE in the database, not US; put a good database there, or correct the canary",
                 "canary 192.0.2.9 ", "is of unknown country"):
        check(word in text, f"no {word!r} in {text}")
    world.configure(more=canaries((SMALL, "DE")))
    status, text = run([DNSD, "-c", world.site.path, "-t"])
    check_equal(status, 0, text)


def test_uk(case, _):
    """An operator may write UK for GB, as in names and mirrors: it is one country, in nets and canaries too."""
    world = World(case, table("GB"), more=canaries((SMALL, "UK"), ("10.1.2.3", "GB")) + ' nets = ( { net = "10.0.0.0/9"; country = "UK"; } );')
    for address in ("10.1.2.3", SMALL):
        status, text = run([DNSDCTL, "-c", world.site.path, "geo", "lookup", address])
        check(status == 0 and "GB" in text and "UK" not in text, f"{address}: {text}")


def test_new_canary(case, _):
    """A canary that is new and that the table in use gets wrong: a warning at the reload, nothing is lost."""
    world = World(case)
    world.configure(more=canaries((SMALL, "US")))
    lines = world.daemon.reload()
    check(any(f"warning: {world.path}: canary {SMALL}" in line for line in lines), "a warning")
    check_equal(world.country(), DE, "the answer")


def test_drift(case, _):
    """Too much of the address space moves: refused with the countries named, until the limit is raised."""
    world = World(case, max_drift=2)
    moved = "10.0.0.0/9 DE\n10.0.0.0/12 US\n10.128.0.0/9 FR\n2a00::/16 DE\n"
    mark = world.replace(table("FR", wide=moved))
    line = world.daemon.log.wait(r"geo\.mmdb: 6\.3 % of the IPv4 address space moves to another country: DE -> US 6\.2 %; "
                                 r"over max-drift 2 %", mark).string
    check("warning" in line, line)
    world.daemon.log.wait(r"geo\.mmdb: refused", mark)
    check_equal(world.country("10.1.2.3"), DE, "the old answer")
    lines = world.daemon.reload()
    check(any("over max-drift 2 %" in line for line in lines), "a reload alone does not change its mind")
    check_equal(world.country("10.1.2.3"), DE, "the old answer after a reload")
    world.configure(max_drift=100)
    lines = world.daemon.reload()
    check(any("geo database in use" in line for line in lines), "in use")
    check_equal(world.country("10.1.2.3"), US, "the new answer")
    check_equal(world.country(), FR, "the new answer, small")


def test_drift_ipv6(case, _):
    """Each family by itself: IPv6 alone can be too much."""
    world = World(case)
    mark = world.replace(table(wide=WIDE.replace("2a00::/16 DE", "2a00::/16 US")))
    world.daemon.log.wait(r"100\.0 % of the IPv6 address space moves to another country: DE -> US 100\.0 %; over max-drift 10 %", mark)
    check(not any("of the IPv4" in line for line in world.daemon.log.since(mark)), "IPv4 has not moved")


def test_nets_change(case, _):
    """Nets of the operator are no drift; while the file is bad, they wait, and that is told."""
    world = World(case, max_drift=1)
    nets = 'nets = ( { net = "10.0.0.0/9"; country = "US"; } );'
    world.configure(more=nets, max_drift=1)
    world.daemon.reload()
    check_equal(world.country("10.1.2.3"), US, "with the net")
    with open(world.path, "rb") as file:
        good = file.read()
    mark = world.daemon.log.mark()
    world.site.write("geo/geo.mmdb", good[:-50])
    world.daemon.log.wait("refused", mark)
    world.configure(more=nets.replace("US", "FR"), max_drift=1)
    lines = world.daemon.reload()
    check(any("without the changes of nets and country-path" in line for line in lines), "told")
    check_equal(world.country("10.1.2.3"), US, "the old net")
    world.configure(more=nets.replace("US", "FR"), max_drift=100)
    mark = world.daemon.log.mark()
    world.site.write("geo/geo.mmdb", good)
    world.daemon.reload()
    wait_until(lambda: world.country("10.1.2.3") == FR, "the new net")


def test_other_file(case, _):
    """Another file name: canaries count, drift does not; a bad one is a mistake in the configuration."""
    world = World(case, max_drift=1)
    make_database(world.site.file("geo/other.mmdb"), "10.0.0.0/8 US\n203.0.113.0/24 US\n")
    world.configure("geo/none.mmdb", max_drift=1)
    check(any("none.mmdb: can't open" in line for line in world.daemon.reload(fails=True)), "no such file")
    world.configure("geo/other.mmdb", more=canaries((SMALL, "DE")), max_drift=1)
    check(any("is US in the database, not DE" in line for line in world.daemon.reload(fails=True)), "the canary")
    check_equal(world.country(), DE, "nothing has changed")
    world.configure("geo/other.mmdb", max_drift=1)
    lines = world.daemon.reload()
    check(any("geo database in use" in line for line in lines), "in use")
    check_equal(world.country(), US, "the answer")


def test_age(case, _):
    """An old database is told at the start and when a new one is old too; once a day, and not with max-age = 0."""
    day = 86400
    old = time.time() - 61.5 * day
    world = World(case, built_s=old)
    told = r"warning: \S*geo\.mmdb: built 20\S+Z, 61 days ago: older than max-age"
    world.daemon.log.wait(told)
    mark = world.daemon.log.mark()
    for _ in range(3):
        world.daemon.reload()
    check(not any("older than" in line for line in world.daemon.log.since(mark)), "told again on the same day")
    mark = world.replace(table("FR"), built_s=old)
    world.daemon.log.wait(told, mark)
    mark = world.replace(table("DE"), built_s=time.time() - 59 * day)
    wait_until(lambda: world.country() == DE, "the newer one in use")
    world.daemon.reload()
    check(not any("older than" in line for line in world.daemon.log.since(mark)), "59 days are not too old")
    world.configure(max_age='"58d"')
    check(any("59 days ago: older than max-age" in line for line in world.daemon.reload()), "another max-age")
    world.configure(max_age=0)
    check(not any("older than" in line for line in world.daemon.reload()), "max-age = 0")
