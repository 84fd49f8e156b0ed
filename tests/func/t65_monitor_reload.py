"""mirrormon while it is disturbed: reloads, restarts and ends in the middle of checks, lost state, odd files. Nobody leaves the pool for it."""
import os
import signal
import sqlite3
import subprocess
import time

from harness import DEADLINE_S, Output, check, check_equal, check_within, wait_until
from mirror_world import MIRRORMON, MirrorWorld, mirrormon

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
QUIET = {"interval": '"1h"', "retry": '"10m"'}  # what a check has found stays all that is known


def setup(case):
    world = MirrorWorld(case, MIRRORS, more=[("new.de.example", "DE", ["198.51.100.1"])],
                        raw=[("hangs.de.example", "DE", ["198.51.100.9"])])
    world.release({"daily": 100, "main": 62}, {"daily-100.cdiff": b"ClamAV-Diff:"})
    world.push(world.mirrors + world.more)
    world.hung = []
    world.serve(world.raw[0], lambda request, connection: world.hung.append(request) or time.sleep(120))
    return world


def wait_announced(monitor, version=100):
    """A feed that announces it: mirrors without it would be out."""
    return wait_until(lambda: (feed := monitor.feed()) and feed.get("versions", {}).get("daily") == version and feed, "daily is announced")


def check_nobody_leaves(monitor, feeds=2):
    for _ in range(feeds):
        feed = monitor.wait_feed(monitor.feed()["serial"])
        check_equal(feed["excluded"], [], "what is out")


def test_patches_are_looked_for(case, world):
    """A reload that looks for patches which nobody has looked for yet, or puts a database before the others."""
    site = case.site()
    monitor = world.monitor(site, checks={**QUIET, "cdiffs": "0"}, announce={"settle": '"0s"'})
    wait_announced(monitor)
    world.write_monitor(site, checks=QUIET, announce={"settle": '"0s"'})
    monitor.reload()
    check_nobody_leaves(monitor)
    world.write_monitor(site, checks={**QUIET, "databases": '[ "main", "daily" ]'}, announce={"settle": '"0s"'})
    monitor.reload()
    check_nobody_leaves(monitor)
    check_equal(monitor.feed()["versions"]["daily"], 100, "daily by the feed after it")
    monitor.stop()


def test_reload_at_start(case, world):
    """SIGHUP before it can be taken waits: it neither ends the process nor is lost. One that came between fork() and exec(), say."""
    site = case.site()
    world.write_monitor(site)

    def hang_up():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        os.kill(os.getpid(), signal.SIGHUP)
    process = subprocess.Popen([MIRRORMON, "-c", site.file("mirrormon.conf")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, preexec_fn=hang_up)
    case.stack.callback(process.wait)
    case.stack.callback(process.kill)
    Output(process.stdout).wait(r"\breloaded: ")
    process.send_signal(signal.SIGTERM)
    check_equal(process.wait(DEADLINE_S), 0, "exit status")


def test_joins_by_reload(case, world):
    """Of the first configuration nobody is on probation; who is added to it is, in the same run."""
    site = case.site()
    monitor = world.monitor(site)
    wait_announced(monitor)
    mark = monitor.log.mark()
    world.write_monitor(site, mirrors=world.mirrors + world.more)
    monitor.reload()
    monitor.log.wait(r"mirror new\.de\.example: out-of-sync -> none", mark)
    monitor.wait_out({})
    check_equal([line for line in monitor.log.lines if "-> out-of-sync" in line], [], "mirrors that went out")
    monitor.stop()


def test_lost_standings(case, world):
    """A history that has lost the standings, as with another version of mirrormon: all are as on the first day."""
    site = case.site()
    monitor = world.monitor(site, checks=QUIET)
    wait_announced(monitor)
    monitor.stop()
    with sqlite3.connect(site.file("mon/history.db")) as history:
        check(history.execute("DELETE FROM standings").rowcount >= 4, "no standings were kept")
    serial = monitor.feed()["serial"]
    again = world.start_monitor(site)
    check_equal(again.wait_feed(serial)["excluded"], [], "what is out after it")
    check_nobody_leaves(again, 1)
    again.stop()


def test_one_failure_after_a_start(case, world):
    """What a mirror has is not known yet: a check that failed does not mean that it has nothing."""
    site = case.site()
    monitor = world.monitor(site, checks=QUIET)
    wait_announced(monitor)
    monitor.stop()
    serial = monitor.feed()["serial"]
    world.mirrors[0].answer(503)
    again = world.start_monitor(site)
    check_equal(again.wait_feed(serial)["excluded"], [], "what is out after one failed check")
    check_nobody_leaves(again, 1)
    again.stop()
    world.mirrors[0].answer(None)


def test_hanging_checks(case, world):
    """A mirror that never answers puts off no reload, and no end; one that left while it was asked is forgotten."""
    site = case.site()
    timeouts = {**QUIET, "timeout": '"60s"'}
    world.hung.clear()
    monitor = world.monitor(site, mirrors=world.mirrors + world.raw, checks=timeouts)
    wait_until(lambda: world.hung, "the mirror that hangs was asked")
    for _ in range(2):  # neither waits for the minute that is left
        begin = time.monotonic()
        monitor.reload()
        check_within(time.monotonic() - begin, 10, "a reload")
    wait_until(lambda: len(world.hung) > 1, "asked again by the new configuration")
    world.write_monitor(site, checks=timeouts)
    monitor.reload()
    monitor.wait_feed()
    check_nobody_leaves(monitor, 1)
    monitor.stop()
    # Once more, without a reload between.
    world.hung.clear()
    world.write_monitor(site, mirrors=world.mirrors + world.raw, checks=timeouts)
    again = world.start_monitor(site)
    wait_until(lambda: world.hung, "the mirror that hangs was asked")
    again.stop()


def test_reload_refused(case, world):
    """A key that can't be read is found by -t and at a reload; then nothing has changed."""
    site = case.site()
    monitor = world.monitor(site, checks=QUIET)
    feed = wait_announced(monitor)
    site.write("damaged.key", "untrusted comment: a key\nRWQx\n")
    world.write_monitor(site, checks=QUIET, monitor={"feed-key": '"damaged.key"', "name": '"other"'})
    status, _, told = mirrormon(world, "-c", site.file("mirrormon.conf"), "-t")
    check(status == 1 and "damaged.key" in told, f"-t: {status}: {told}")
    monitor.reload(fails=True)
    check_equal(monitor.wait_feed(feed["serial"])["monitor"], "mon1.example", "who has written the feed")
    check(not os.path.exists(site.file("feed.json.minisig")), "it is signed")
    monitor.stop()


def test_odd_votes(case, world):
    """Votes of others that are a FIFO, endless or not there: told, and one of three decides nothing."""
    site = case.site()
    os.mkfifo(site.file("fifo.json"))
    monitor = world.monitor(site, votes={"file": '"vote.json"', "others": f'[ "{site.file("fifo.json")}", "/dev/zero" ]'})
    for name in ("fifo.json", "/dev/zero"):
        monitor.log.wait(rf"no vote from \S*{name}: it is not a regular file")
    wait_announced(monitor)
    world.mirrors[1].put("daily.cvd", b"<html>It works!</html>" * 100)
    wait_until(lambda: os.path.exists(site.file("vote.json")) and "wrong-content" in open(site.file("vote.json")).read(),
               "our own vote says it")
    check_nobody_leaves(monitor, 1)
    monitor.stop()
    world.mirrors[1].sync("daily.cvd")


def test_once_without_references(case, world):
    """--once that could decide nothing says so by its status, and writes no feed; with them it does both."""
    site = case.site()
    conf = world.write_monitor(site)
    gone = [address for mirror in world.references for address in mirror.addresses]
    world.cut(*gone)
    status, _, told = mirrormon(world, "-c", site.file("mirrormon.conf"), "--once")
    world.mend(*gone)
    check_equal((status, os.path.exists(site.file("feed.json"))), (1, False), f"status and whether there is a feed: {conf}: {told}")
    status, _, told = mirrormon(world, "-c", site.file("mirrormon.conf"), "--once")
    check_equal((status, os.path.exists(site.file("feed.json"))), (0, True), f"status and whether there is a feed: {told}")


def test_once_ended(case, world):
    """--once that is ended before all was asked has not done what it should."""
    site = case.site()
    world.hung.clear()
    world.write_monitor(site, mirrors=world.mirrors + world.raw, checks={"timeout": '"60s"'})
    monitor = world.start_monitor(site, options=("--once",))
    wait_until(lambda: world.hung, "the mirror that hangs was asked")
    monitor.send_signal(signal.SIGTERM)
    check_equal(monitor.process.wait(20), 1, "exit status")
    monitor.stopped = True
    monitor.log.thread.join(20)
    monitor.check_log()
