"""A disk that does not answer: who serves goes on, and who is told to stop stops."""
import contextlib
import json
import os
import signal
import time

import t95_faults
from harness import (CONTROL, DEADLINE_S, STATE, Control, Daemon, addresses, ask, check, check_equal, check_rcode, wait_until)
from t91_takeover_fails import Impostor

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m2.de.example", "DE", ["192.0.2.2"])]
HANGS_S = 8  # after the connections, what hangs is left behind


def setup(case):
    return t95_faults.setup(case)


def start(case, library, site, **keywords):
    daemon = Daemon(site.path, ready=False, more_env=t95_faults.faulty(library, "hang"), **keywords)
    case.daemons.append(daemon)
    return daemon


def hang(site, name):
    site.write(name + ".hangs", "")


def go_on(site, name):
    os.unlink(site.file(name + ".hangs"))


def ended(daemon, status):
    """It has ended by itself, with this status."""
    wait_until(lambda: daemon.process.poll() is not None, "the end of a server that was told to stop")
    daemon.stopped = True
    check_equal(daemon.process.returncode, status, "exit status")
    daemon.log.thread.join(DEADLINE_S)
    daemon.check_log()


def test_stop(case, library):
    """SIGTERM while a reload, or a write of the state, hangs for good: it ends all the same, and says what it has left behind."""
    site = case.site().pool_site(MIRRORS, server=STATE + 'stop-drain = "0s";')
    site.folder_for("state")
    reloading = start(case, library, site)
    reloading.wait_ready()
    reloading.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    other = case.site().pool_site(MIRRORS, server=STATE + 'stop-drain = "0s";')
    other.folder_for("state")
    writing = start(case, library, other)
    writing.wait_ready()

    hang(site, "clamav.zone")
    reloading.send_signal(signal.SIGHUP)
    reloading.log.wait("open of .*clamav.zone hangs")
    hang(other, "state/overrides.json.new")
    with Control(writing.control) as control:
        control.sock.sendall(b'{"command": "mirror", "action": "down", "mirror": "m1.de.example", "reason": "disk"}\n')
        writing.log.wait("open of .*overrides.json.new hangs")
        for daemon in (reloading, writing):
            check_rcode(ask(daemon, "www.clamav.test"), "NOERROR")
            daemon.send_signal(signal.SIGTERM)
        start_s = time.monotonic()
        ended(reloading, 0)
        ended(writing, 1)
        check(HANGS_S * 0.9 < time.monotonic() - start_s, "the time that a slow disk has")
        response = json.loads(control.lines.readline())
        check("has not written it yet" in response["warning"], f"what waited for the disk: {response}")
    reloading.log.wait("a reload does not end: one of the files it reads or the disk does not answer")
    writing.log.wait("state: the state is not written whole")
    for daemon in (reloading, writing):
        check(not os.path.exists(daemon.control), "the control socket is still there")
    with open(site.file("state/overrides.json")) as file:
        check_equal([entry["mirror"] for entry in json.load(file)["overrides"]], ["m1.de.example"], "overrides on disk")


def test_stop_slow(case, library):
    """A disk that was only slow: what was asked for is on it in the end."""
    site = case.site().pool_site(MIRRORS, server=STATE)
    site.folder_for("state")
    daemon = start(case, library, site)
    daemon.wait_ready()
    hang(site, "state/overrides.json.new")
    with Control(daemon.control) as first, Control(daemon.control) as second:
        for control, mirror in ((first, "m1"), (second, "m2")):
            # The second one's batch begins when that of the first has ended.
            text = json.dumps({"command": "mirror", "action": "down", "mirror": f"{mirror}.de.example", "reason": "disk"})
            control.sock.sendall(text.encode() + b"\n")
        daemon.log.wait("open of .*overrides.json.new hangs")
        daemon.log.wait("mirror m2.de.example: down")
        daemon.send_signal(signal.SIGTERM)
        daemon.log.wait("stopping")
        go_on(site, "state/overrides.json.new")
        ended(daemon, 0)
    check(not any("does not end" in line or "any longer" in line for line in daemon.log.lines), "nothing hung for long")
    again = case.daemon(site)
    kept = {mirror["mirror"]: mirror["state"] for mirror in again.ctl("pool", "show")[0]["mirrors"]}
    check_equal(set(kept.values()), {"admin"}, f"both, by what was kept: {kept}")


def test_restart(case, library):
    """A restart waits for the reload that hangs, gives up in time, and says for what it has waited."""
    site = case.site().pool_site(MIRRORS, server=CONTROL + 'restart-timeout = "300ms"; sandbox = "off";')
    daemon = start(case, library, site)
    daemon.wait_ready()
    hang(site, "clamav.zone")
    daemon.send_signal(signal.SIGHUP)
    daemon.log.wait("open of .*clamav.zone hangs")
    with Impostor(daemon.control) as impostor:
        impostor.receive_until("welcome")
        impostor.say("loaded")
        error = impostor.receive_until("abort")["error"]
        check("waits for a job of this process that does not end" in error, error)
    mark = daemon.log.mark()
    go_on(site, "clamav.zone")
    daemon.log.wait("reloaded", mark)
    check_equal(sorted(addresses(ask(daemon, "db.de.clamav.test"))), ["192.0.2.1", "192.0.2.2"], "served as ever")


def test_command_waits(case, library):
    """Who waits for long, for another's job or for the disk, finds out why in the log, once; and is answered in the end."""
    loading, keeping = (case.site().pool_site(MIRRORS, server=STATE) for _ in range(2))
    waiting = []
    with contextlib.ExitStack() as stack:
        for site, name, text, why in (
                (loading, "clamav.zone", {"command": "status"}, "a reload has not ended; perhaps one of the files"),
                (keeping, "state/overrides.json.new", {"command": "mirror", "action": "down", "mirror": "m1.de.example", "reason": "disk"},
                 "what has changed is not in .*state yet; perhaps the disk")):
            site.folder_for("state")
            daemon = start(case, library, site)
            daemon.wait_ready()
            hang(site, name)
            if site is loading:
                daemon.send_signal(signal.SIGHUP)
                daemon.log.wait("open of .* hangs")
            controls = [stack.enter_context(Control(daemon.control)) for _ in range(2)]
            for control in controls:
                control.sock.sendall(json.dumps(text).encode() + b"\n")
            waiting.append((daemon, site, name, controls, r"warning: control: a command has waited for \d+ s: " + why))
        for daemon, _, _, _, want in waiting:
            daemon.log.wait(want)
        for daemon, site, name, controls, _ in waiting:
            go_on(site, name)
            for control in controls:
                response = json.loads(control.lines.readline())
                check_equal(response.get("ok"), True, f"answered in the end: {response}")
            check_equal(sum("has waited for" in line for line in daemon.log.lines), 1, "times told")


def test_signals_at_start(case, library):
    """A reload of all that is called dnsd does not end one that still loads: it reloads when it can."""
    site = case.site().pool_site(MIRRORS)
    hang(site, "clamav.zone")
    daemon = start(case, library, site)
    daemon.log.wait("open of .*clamav.zone hangs")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        daemon.send_signal(number)
    go_on(site, "clamav.zone")
    daemon.wait_ready()
    daemon.log.wait("reloaded")
    daemon.log.wait("counter queries_udp=")
    daemon.log.wait("log level: debug")


def test_records_lost(case, library):
    """More records than may wait come while a base is being written: the journal gets another base."""
    mirrors = [(f"m{i}.example.net", "DE", [f"198.18.{i >> 8}.{i & 255}"]) for i in range(10100)]
    site = case.site()
    site.write("feed.json", json.dumps({"format": 1, "serial": 1, "excluded": []}))
    site.folder_for("state")
    site.pool_site(mirrors, pool={"feed": '"feed.json"'}, server=STATE)
    hang(site, "state/journal.jsonl")
    daemon = start(case, library, site)
    daemon.wait_ready()
    daemon.log.wait("open of .*journal.jsonl hangs")
    site.write("feed.json", json.dumps({"format": 1, "serial": 2, "excluded": [],
                                        "weights": [{"mirror": host, "factor": 0.5} for host, _, _ in mirrors]}))
    daemon.log.wait("feed serial 2 in force")
    go_on(site, "state/journal.jsonl")

    def has_base():
        with contextlib.suppress(FileNotFoundError), open(site.file("state/journal.jsonl")) as file:
            return any('"records were lost"' in line for line in file)
        return False
    wait_until(has_base, "a base behind the records that were lost")
