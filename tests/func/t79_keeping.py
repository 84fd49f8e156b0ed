"""The state directory, the control socket and jobs in the background, where one gets in the other's way."""
import json
import os

from harness import DNSD, DNSDCTL, addresses, ask, check, check_equal, run, wait_until

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


def test_long_path(case, _):
    """A state directory whose path is too long is told."""
    site = case.site()
    site.pool_site(MIRRORS, server=f'state-directory = "/{"a/" * 2043}";')
    status, text = run([DNSD, "-c", site.path, "-t"])
    check_equal(status, 0, f"exit status; {text}")
    check("cannot read the overrides" in text, text)
