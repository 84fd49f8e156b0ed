"""A restart without a gap that fails, or in whose way something comes: the old process goes on, no query is lost, and it says why."""
import array
import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import time

import t91_takeover
from harness import (DEADLINE_S, DNSD, ZONE_TEXT, Control, Daemon, Skip, Tcp, addresses, ask, check, check_equal, dnsdctl, free_port,
                     make_query, need_program, run, wait_until)
from t80_load import Load, in_background
from t91_takeover import NAMES, Line, Pipeliner, TcpClient, change, children_of, has_ended, launcher_of, make_site, need_sandbox


def setup(case):
    t91_takeover.setup(case)


def test_state_full(case, _):
    """What cannot be written would be unknown to the new process: no restart."""
    site = make_site(case)
    line = Line(case, site)
    os.rename(site.file("state"), site.file("elsewhere"))
    line.ctl("mirror", "down", "m1.de.example", "--reason", "disk")
    line.restart_fails("the state cannot be kept .No such file or directory.")
    check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is gone")
    site.folder_for("state")
    wait_until(lambda: not line.ctl("status")["problems"], "the state is kept again")
    line.restart()
    check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), "the override is forgotten")


def test_fails(case, _):
    """Whatever is wrong with the new process: the old one goes on, loses nothing, and says what it was."""
    check_failures(case, "off")


def test_fails_in_sandbox(case, _):
    """The same for one that the launcher starts."""
    check_failures(case, "on")


def check_failures(case, sandbox):
    need_program("dnsperf")
    program = os.path.join(case.site().folder, "dnsd")
    shutil.copy(DNSD, program)
    site = make_site(case, server=f'sandbox = "{sandbox}"; restart-timeout = "{DEADLINE_S:g}s";')
    line = Line(case, site, program=program)
    need_sandbox(line, sandbox)

    def replace(text=None):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(program)
        if text is None:
            shutil.copy(DNSD, program)
        elif text:
            with open(program, "w") as file:
                file.write(f"#!/bin/sh\n{text}\n")
            os.chmod(program, 0o755)
    load = Load(line.addr, NAMES, 100, rate=1000)
    clients = [TcpClient(line.addr) for _ in range(3)] + [Pipeliner(line.addr) for _ in range(2)]
    case.stack.enter_context(in_background(*clients))
    try:
        change(site, "workers = 2;", "wokers = 2;")
        line.restart_fails(r"dnsd.conf:\d+: unknown setting \"wokers\".*did you mean", "nothing has changed")
        change(site, "wokers = 2;", "workers = 2;")
        change(site, '"127.0.0.1@0" ]; workers', '"127.0.0.1@0", "192.0.2.99@53" ]; workers')
        line.restart_fails(r"cannot listen on 192.0.2.99@53")
        change(site, ', "192.0.2.99@53"', "")
        change(site, 'metrics: { listen = [ "127.0.0.1@0"', 'metrics: { listen = [ "192.0.2.99@80"')
        line.restart_fails(r"cannot serve metrics on 192.0.2.99@80")
        change(site, '"192.0.2.99@80"', '"127.0.0.1@0"')
        replace("exit 1")
        line.restart_fails(r"ended with status 1 without a word; is .*/dnsd the program you want")
        replace("kill -9 $$")
        line.restart_fails(r"was ended by signal 9")
        # Now those that never serve; the others may take as long as a busy machine lets them.
        change(site, f'restart-timeout = "{DEADLINE_S:g}s";', 'restart-timeout = "1s";')
        line.ctl("reload")
        replace("exec sleep 1000")
        line.restart_fails(r"does not serve after 1000 ms")
        starter = launcher_of(line.pid) or line.pid
        wait_until(lambda: children_of(starter) == [], "the new processes that have failed are gone, and waited for")
        replace("")
        line.restart_fails(r"cannot start .*/dnsd: no such file")
        replace()
        os.chmod(site.file("state"), 0o700)
        mark = line.log.mark()
        check_equal(line.ctl("status")["problems"], [], "problems")
        replies = [Control(line.daemon.control) for _ in range(2)]
        try:  # the second one is told of the first
            replace("exec sleep 1000")
            for control in replies:
                control.sock.sendall(b'{"command": "restart"}\n')
            check("a restart is under way" in replies[1].lines.readline(), "the answer to the second of two restarts")
            check("does not serve" in replies[0].lines.readline(), "the answer to the first")
        finally:
            for control in replies:
                control.__exit__()
        replace()
        change(site, 'restart-timeout = "1s";', 'restart-timeout = "20s";')
        line.ctl("reload")
        for _ in range(2):  # nothing that has failed is in the way of what comes later
            line.restart()
        line.log.wait("ready", mark)
    finally:
        statistics = load.stop()
    for client in clients:
        client.finish()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")


def child_of(pid):
    """What a restart has started: its own child, or that of its launcher."""
    found = children_of(launcher_of(pid) or pid)
    return found[-1] if found else None


def test_killed_while_loading(case, _):
    """kill -9 of a new process at any moment of its start."""
    check_kills(case, "off")


def test_killed_while_loading_in_sandbox(case, _):
    """The same for one that the launcher has started."""
    check_kills(case, "on")


def serves_already(path, sock):
    """Has the restart asked for over sock come to its end, with the new process standing still? When the old one answers another
    question, it has read whatever the new one has said; in the middle of the handover nobody answers."""
    with Control(path) as other:
        other.sock.sendall(b'{"command": "status"}\n')
        select.select([sock, other.sock], [], [], 2)
        return bool(select.select([sock], [], [], 0.1)[0])


def is_program(pid):
    """Has what was forked become the program? Before that it is what its launcher waits for, and may not stand still."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read() != "dnsd-launcher\n"
    except OSError:
        return False


def kill_new_process(line, after_s, killed):
    """So long after its begin, unless it is quicker and becomes the server."""
    starter = line.pid
    if line.ctl("status")["sandbox"] == "on":  # a launcher that has just begun has no name yet, and would be taken for a new process
        starter = wait_until(lambda: launcher_of(line.pid), "the launcher")
    with Control(line.daemon.control) as control:
        control.sock.sendall(b'{"command": "restart"}\n')

        def begun():
            for pid in children_of(starter):
                if pid not in killed and not has_ended(pid) and is_program(pid):
                    return pid
            return bool(select.select([control.sock], [], [], 0)[0])
        pid = wait_until(begun, "a new process, or an answer", every_s=0.001)
        if pid is not True:
            time.sleep(after_s)
            os.kill(pid, signal.SIGSTOP)
            if not serves_already(line.daemon.control, control.sock):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            else:
                os.kill(pid, signal.SIGCONT)
        response = json.loads(control.lines.readline())
    if pid in killed:
        check(not response["ok"] and "signal 9" in response["error"], f"after the kill: {response}")
    elif response["ok"]:
        line.pids.append(response["result"]["pid"])
    else:  # the one before is not done with its own restart
        check(response.get("retry") or "is under way" in response["error"], f"the answer to a restart: {response}")


def check_kills(case, sandbox):
    need_program("dnsperf")
    site = make_site(case, server=f'sandbox = "{sandbox}";', zone_text=ZONE_TEXT + "".join(f"h{i} A 192.0.2.1\n" for i in range(40000)))
    line = Line(case, site)
    need_sandbox(line, sandbox)
    load_s = int(line.log.wait(r"loaded: .*time=(\d+)ms")[1]) / 1000
    load = Load(line.addr, NAMES, 100, rate=1000)
    clients = [TcpClient(line.addr), Pipeliner(line.addr)]
    case.stack.enter_context(in_background(*clients))
    killed = []
    try:
        for i in range(8):
            kill_new_process(line, load_s * i / 32, killed)
            ask(line, "www.clamav.test")
        check(len(killed) >= 3, f"only {len(killed)} of 8 were killed in time")
        line.restart()
        ask(line, "h39999.clamav.test")
        for client in clients:
            client.finish()
            check(client.answered > 10, f"a {type(client).__name__} got only {client.answered} answers")
    finally:
        statistics = load.stop()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")


class Impostor:
    """Speaks the protocol as a new process would, up to where the test wants it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(path)
        self.sock.sendall(b'{"command": "takeover"}\n')
        self.text = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)
        self.sock.close()

    def receive(self):
        while b"\n" not in self.text:
            more, control, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(256))
            if not more:
                raise EOFError
            self.text += more
            for _, _, data in control:
                fds = array.array("i")
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
                self.fds += fds
        text, self.text = self.text.split(b"\n", 1)
        return json.loads(text)

    def say(self, word, **more):
        self.sock.sendall(json.dumps({"say": word} | more).encode() + b"\n")

    def receive_until(self, word):
        while True:
            message = self.receive()
            if message.get("say") == word:
                return message


def test_dies_half_way(case, _):
    """A new process that has the sockets and then dies, fails, hangs or talks nonsense."""
    need_program("dnsperf")
    site = make_site(case, server=f'sandbox = "off"; restart-timeout = "{DEADLINE_S:g}s";')
    line = Line(case, site)
    load = Load(line.addr, NAMES, 100, rate=1000)
    client = TcpClient(line.addr)
    case.stack.enter_context(in_background(client))
    try:
        for end in ("close", "failed", "nonsense", "close early", "hang", "hang early"):
            if end == "hang":  # only who hangs is waited for
                change(site, f'restart-timeout = "{DEADLINE_S:g}s";', 'restart-timeout = "2s";')
                line.ctl("reload")
            mark = line.log.mark()
            with Impostor(line.daemon.control) as impostor:
                check_equal(impostor.receive()["say"], "welcome", "the first word")
                if end == "hang early":
                    check("does not serve" in impostor.receive_until("abort")["error"], "why it was given up")
                elif end != "close early":
                    impostor.say("loaded", protocol=1)
                    impostor.receive_until("handover")
                    check_equal(len(impostor.fds), 2 * 2 + 1 + 1 + 1, "descriptors: two workers, metrics, secrets, control")
                    if end != "hang":
                        said = dnsdctl("-s", line.daemon.control, "restart")
                        check("is under way" in said.err, f"a restart meanwhile: {said.err}")
                if end == "failed":
                    impostor.say("failed", error="no more")
                elif end == "hang":
                    check("does not serve" in impostor.receive_until("abort")["error"], "why it was given up")
                    with contextlib.suppress(OSError):
                        impostor.say("serving")  # too late
                elif end == "nonsense":
                    impostor.sock.sendall(b"[1, 2]\n")
            line.log.wait(r"takeover failed, this process goes on", mark)
            line.ctl("mirror", "down", "m1.de.example", "--reason", end)
            check("192.0.2.1" not in addresses(ask(line, "db.de.clamav.test")), f"after {end}")
            line.ctl("mirror", "auto", "m1.de.example")
            check_equal(line.ctl("status")["pid"], line.pid, f"who is the server after {end}")
        change(site, 'restart-timeout = "2s";', "")
        line.ctl("reload")
        line.restart()
    finally:
        statistics = load.stop()
    client.finish()
    check_equal(statistics.get("lost"), 0, f"queries lost:\n{load.text}")


# It has the sockets, never serves, and takes its time to end.
# Whoever asks it to end is not heard: it may still be beginning.
SLOW = """#!/bin/sh
trap "" TERM
exec python3 -c '
import os, socket, sys, time
old = socket.socket(fileno=3)
try:
    old.sendall(b"{\\"say\\": \\"loaded\\"}\\n")
except OSError:  # given up before it had begun
    pass
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
' "$0.go"
"""


def test_slow_end(case, _):
    """A new process that has failed with the sockets in its hand, and does not end at once: the next restart waits for that."""
    for sandbox in ("off", "on"):
        site = make_site(case, server=f'sandbox = "{sandbox}"; restart-timeout = "2s";')
        program = site.file("dnsd")
        shutil.copy(DNSD, program)
        line = Line(case, site, program=program)
        need_sandbox(line, sandbox)
        os.unlink(program)
        site.write("dnsd", SLOW)
        os.chmod(program, 0o755)

        def refused():
            """The pid of the one that is waited for; None when it was ended before it had the sockets, or could hear of its end."""
            said = line.restart_fails(r"does not serve after 2000 ms|restart before, pid \d+, has not ended; try again")
            match = re.search(r"restart before, pid (\d+), has not", said)
            return match and int(match[1])
        slow = wait_until(refused, "a restart that is refused for the one before", 3 * DEADLINE_S)
        check_equal(slow, child_of(line.pid), "pid of the one that has not ended")
        site.write("dnsd.go", "")
        wait_until(lambda: has_ended(slow), f"the end of pid {slow}")
        os.unlink(program)
        shutil.copy(DNSD, program)
        change(site, 'restart-timeout = "2s";', "")
        line.ctl("reload")

        def restarted():
            said = line.daemon.dnsdctl("restart")
            if "has not ended" in said.err:  # the news is on its way
                return None
            check_equal(said.status, 0, f"exit status of dnsdctl restart: {said.err}")
            return int(re.search(r"pid (\d+) serves in place of", said.out)[1])
        line.pids.append(wait_until(restarted, "a restart"))
        ask(line, "www.clamav.test")


def test_launcher_ends(case, _):
    """With the process that it is for, however that ends; and who is left without one says what to do."""
    line = Line(case, make_site(case, server='sandbox = "on";'))
    need_sandbox(line)
    os.kill(launcher_of(line.pid), signal.SIGKILL)
    line.restart_fails(r"cannot start .*/dnsd: ")
    ask(line, "www.clamav.test")
    killed = Daemon(make_site(case, server='sandbox = "on";').path)
    launcher = launcher_of(killed.pid)
    check(launcher, "it has a launcher")
    killed.kill()
    wait_until(lambda: has_ended(launcher), "the end of the launcher of a process that was killed")
    unconfined = case.daemon(make_site(case))
    check_equal(children_of(unconfined.pid), [], "children of one that needs no launcher")


def test_stop_while_leaving(case, _):
    """SIGTERM for a process that has handed over: its connections have only stop-drain left."""
    site = make_site(case, drain_s=600)
    line = Line(case, site)
    with Tcp(line.addr) as tcp:
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        line.restart()
        line.daemon.send_signal(signal.SIGTERM)
        check(tcp.is_closed(DEADLINE_S), "the connection goes on")
    line.wait_ended(line.daemon.pid)
    ask(line, "www.clamav.test")


def test_old_one_hangs(case, _):
    """dnsd --takeover does not wait for good for a server that does not answer, and leaves it as it is."""
    site = make_site(case, server='sandbox = "off"; restart-timeout = "500ms";')
    daemon = case.daemon(site)
    daemon.send_signal(signal.SIGSTOP)
    try:
        status, text = run([DNSD, "--takeover", "-c", site.path])
    finally:
        daemon.send_signal(signal.SIGCONT)
    check_equal(status, 1, f"exit status; it says:\n{text}")
    check("Connection timed out; if it hangs, end it, and start without --takeover" in text, text)
    ask(daemon, "www.clamav.test")
    check_equal(daemon.ctl("status")["pid"], daemon.pid, "who is the server")


def test_stop_while_handing_over(case, _):
    """SIGTERM while a new process has the sockets, but has not served yet: that one is told not to."""
    line = Line(case, make_site(case))
    with Impostor(line.daemon.control) as impostor:
        impostor.receive_until("welcome")
        impostor.say("loaded")
        impostor.receive_until("handover")
        line.daemon.send_signal(signal.SIGTERM)
        check_equal(impostor.receive_until("abort")["error"], "the server is stopping", "what the new one is told")
    line.wait_ended(line.daemon.pid)


def test_reload_meanwhile(case, _):
    """A reload that is asked for while the state is on its way is done by the new process; SIGHUP is passed on later."""
    site = make_site(case, drain_s=600)
    line = Line(case, site)
    with Tcp(line.addr) as tcp:
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        with Impostor(line.daemon.control) as impostor:
            impostor.receive_until("welcome")
            impostor.say("loaded")
            impostor.receive_until("handover")
            with Control(line.daemon.control) as control:
                control.sock.sendall(b'{"command": "reload"}\n')
                line.daemon.send_signal(signal.SIGHUP)
                with Control(line.daemon.control) as later:  # answered at once, when both have come: the message below has its own socket
                    check("is under way" in later.ask("restart")["error"], "the answer to who comes later")
                impostor.say("serving")
                check_equal(impostor.receive_until("yours")["reload"], True, "reload")
                response = json.loads(control.lines.readline())
                check_equal((response["ok"], response["retry"]), (False, True), f"the command that waited: {response}")
            line.daemon.send_signal(signal.SIGUSR1)  # it still serves this
            line.log.wait("counter queries_tcp=1")
    line.wait_ended(line.daemon.pid)
    second = Line(case, site)
    with Tcp(second.addr) as tcp:
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        second.restart()
        mark = second.log.mark()
        second.daemon.send_signal(signal.SIGHUP)
        second.log.wait("reloaded", mark)
    second.wait_ended(second.daemon.pid)


def pass_fds(sock, message, fds=()):
    sock.sendmsg([json.dumps(message | ({"fds": len(fds)} if fds else {})).encode() + b"\n"],
                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def test_old_one_dies(case, _):
    """The old process dies as soon as it has handed over its sockets: who has them serves, for nobody else does."""
    site = make_site(case, workers=1)
    ours, theirs = socket.socketpair()
    with ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET) as tcp:
        addr = ("127.0.0.1", free_port())
        for sock in (udp, tcp):
            sock.bind(addr)
            sock.setblocking(False)
        tcp.listen()
        with theirs:
            daemon = Daemon(site.path, ready=False, more_env={"DNSD_TAKEOVER_FD": str(theirs.fileno())}, pass_fds=(theirs.fileno(),))
        case.daemons.append(daemon)
        pass_fds(ours, {"say": "welcome", "pid": os.getpid()})
        check_equal(json.loads(ours.makefile().readline())["say"], "loaded", "the first word")
        pass_fds(ours, {"say": "sockets", "port": 0, "tls": False}, (udp.fileno(), tcp.fileno()))
        pass_fds(ours, {"say": "handover", "changed": False, "generation": 1, "serial": 1, "names": []})
    daemon.log.wait("the process before, pid=.*, has died")
    daemon.wait_ready()
    check_equal(daemon.addr, addr, "the address it serves")
    ask(daemon, "www.clamav.test")


def test_other_name_space(case, _):
    """Who takes over from another PID name space has no number to pass a signal on to: nobody else gets it."""
    if os.geteuid() != 0:
        raise Skip("needs root, for a PID name space")
    site = make_site(case, drain_s=600)
    daemon = Daemon(site.path, prefix=("setsid", "unshare", "--pid", "--fork"))  # its group is its own
    case.stack.callback(daemon.kill)
    old = wait_until(lambda: children_of(daemon.pid), "dnsd below unshare")[0]
    case.stack.callback(lambda: os.kill(old, signal.SIGKILL))
    with Tcp(daemon.addr) as tcp, Impostor(daemon.control) as impostor:
        tcp.send(make_query("www.clamav.test", "A").to_wire())
        tcp.receive()
        impostor.receive_until("welcome")
        impostor.say("loaded")
        impostor.receive_until("handover")
        impostor.say("serving")
        impostor.receive_until("yours")
        os.kill(old, signal.SIGHUP)
        daemon.log.wait("signal 1 is not passed on")
        check_equal(daemon.process.poll(), None, "who is in the group of the old process has got the signal")
