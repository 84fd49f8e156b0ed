"""contrib/bash-completion/dnsdctl: what bash offers for a line that is begun."""
import os
import re
import shlex

from harness import DNSDCTL, TOP, check, check_equal, need_program, run, wait_until

COMPLETION = os.path.join(TOP, "contrib", "bash-completion", "dnsdctl")
MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"]), ("m2.de.example", "DE", ["192.0.2.2"]),
           ("n1.fr.example", "FR", ["192.0.2.3"])]

# What bash does: it splits the line at blanks and at "=", and calls the function that complete -p names. Under -u, as some
# shells are.
SCRIPT = """
set -eu
source {completion}
[[ $(complete -p dnsdctl) == "complete -F _dnsdctl dnsdctl" ]]
COMP_WORDS=({words})
COMP_CWORD={cword}
COMPREPLY=()
set +e
_dnsdctl
printf '%s\\n' ${{COMPREPLY[@]+"${{COMPREPLY[@]}}"}}
"""


class Shell:
    def __init__(self, case, program=DNSDCTL):
        self.bash = need_program("bash")
        self.folder = case.site().folder
        self.program = program

    def complete(self, *words):
        """What is offered for the last word; "=" is a word of its own, as COMP_WORDBREAKS has it."""
        script = SCRIPT.format(completion=shlex.quote(COMPLETION), cword=len(words),
                               words=" ".join(shlex.quote(word) for word in (self.program, *words)))
        status, text = run([self.bash, "--norc", "--noprofile", "-c", script], cwd=self.folder)
        check_equal(status, 0, f"bash says {text}")
        return sorted(line for line in text.split("\n") if line)


def setup(case):
    shell = Shell(case)
    for name in ("a.conf", "b.conf", "two words.conf", "other.sock"):
        with open(os.path.join(shell.folder, name), "w"):
            pass
    os.mkdir(os.path.join(shell.folder, "sub"))
    return shell


def help_text():
    status, text = run([DNSDCTL, "--help"])
    check_equal(status, 0, text)
    return text


def test_commands(case, shell):
    """Every command of --help, and no other."""
    commands = {match[1] for match in re.finditer(r"^  ([a-z]+)\b", help_text(), re.MULTILINE)}
    check_equal(shell.complete(""), sorted(commands), "commands")
    check_equal(shell.complete("s"), ["stats", "status"], "dnsdctl s")
    check_equal(shell.complete("--json", "re"), ["reload", "restart"], "dnsdctl --json re")
    check_equal(shell.complete("status", ""), [], "dnsdctl status")


def test_subcommands(case, shell):
    for words, want in ((["mirror", ""], ["auto", "down", "drain", "up"]), (["mirror", "d"], ["down", "drain"]),
                        (["feed", ""], ["accept", "reject", "show"]), (["log", ""], ["level"]),
                        (["geo", ""], ["lookup"]), (["pool", "s"], ["show"]), (["version", ""], ["show"]),
                        (["log", "level", ""], ["debug", "error", "info", "warning"]),
                        (["log", "level", "e"], ["error"]), (["explain", "db.de.clamav.test", "AA"], ["AAAA"])):
        check_equal(shell.complete(*words), want, f"dnsdctl {' '.join(words)}")


def test_options(case, shell):
    """Each command has its own; all of them together are those of --help."""
    general = ["--config", "--help", "--json", "--socket", "--timeout", "--version"]
    check_equal(shell.complete("-"), general, "dnsdctl -")
    check_equal(shell.complete("--so"), ["--socket"], "dnsdctl --so")
    check_equal(shell.complete("mirror", "down", "m1.de.example", "--re"), ["--reason"], "mirror ... --re")
    check_equal(shell.complete("query", "db.de.clamav.test", "--a"), [], "query --a")
    check_equal(shell.complete("explain", "db.de.clamav.test", "--a"), ["--at"], "explain --a")
    offered = set(general)
    for command in ("mirror", "explain", "query", "pool", "feed", "log"):
        offered.update(shell.complete(command, "--"))
    check_equal(sorted(offered), sorted(set(re.findall(r"--[a-z]+", help_text()))), "options")


def test_files(case, shell):
    for option in ("-c", "--config", "-s", "--socket"):
        check_equal(shell.complete(option, ""), ["a.conf", "b.conf", "other.sock", "sub", "two words.conf"], option)
    check_equal(shell.complete("-c", "b"), ["b.conf"], "-c b")
    check_equal(shell.complete("-c", '"two w'), ["two words.conf"], '-c "two w')
    check_equal(shell.complete("-c", "a.conf", "check"), ["checkconf"], "after -c FILE")
    check_equal(shell.complete("--socket", "=", "o"), ["other.sock"], "--socket=o")
    check_equal(shell.complete("--socket", "="), ["a.conf", "b.conf", "other.sock", "sub", "two words.conf"], "--socket=")
    check_equal(shell.complete("--from", ""), [], "--from: nobody knows")


def test_no_daemon(case, shell):
    """Nothing, and not a word about it."""
    for words in (["-s", "other.sock", "mirror", "down", ""], ["-s", "nowhere.sock", "mirror", "down", "--pool", ""],
                  ["-s", "nowhere.sock", "feed", "accept", ""], ["-t", "1", "-s", "nowhere.sock", "mirror", "up", "m"]):
        check_equal(shell.complete(*words), [], " ".join(words))
    check_equal(Shell(case, "/nowhere/dnsdctl").complete("mirror", "down", ""), [], "without the program")


def offered(shell, want, what, *words):
    """What depends on the daemon: where it does not answer within a second nothing is offered, and Tab is pressed again."""
    got = wait_until(lambda: shell.complete(*words) or want == [], what)
    check_equal([] if got is True else got, want, what)


def test_daemon(case, shell):
    """Mirrors and pools are those of the daemon that the line speaks to."""
    site = case.site().pool_site(MIRRORS, server='control = "control.sock";')
    case.daemon(site)
    socket = site.file("control.sock")
    hosts = [host for host, _, _ in MIRRORS]
    for words, want in ((["mirror", "down", ""], hosts), (["mirror", "drain", "m"], hosts[:2]),
                        (["mirror", "auto", "--reason", "two words", "n"], hosts[2:]), (["mirror", "up", "x"], []),
                        (["mirror", "down", "m1.de.example", "--pool", ""], ["clamav"]),
                        (["feed", "reject", "c"], ["clamav"]), (["feed", "accept", "--serial", "43", "c"], ["clamav"]),
                        (["pool", "show", ""], ["clamav"])):
        offered(shell, want, f"dnsdctl -s SOCKET {' '.join(words)}", "-s", socket, *words)
    offered(shell, hosts[1:2], "--socket=SOCKET", "--socket", "=", socket, "mirror", "up", "m2")
    offered(shell, hosts[2:], "the socket in quotes", "-s", f"'{socket}'", "mirror", "up", "n")


def test_nothing_is_run(case, shell):
    """What stands on the line is not carried out by completing it."""
    shell.complete("-s", "$(touch ran)`touch ran`", "mirror", "down", "")
    shell.complete("-s", "x; touch ran", "mirror", "down", "$(touch ran)")
    check(not os.path.exists(os.path.join(shell.folder, "ran")), "something on the line was run")
