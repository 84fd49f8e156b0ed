"""Instructions of answer_query() by kind of question, counted by valgrind: they repeat exactly, so they may have a ceiling.

A rise that is worth it moves the ceiling here and the figure in docs/performance.md.
"""
import os
import re
import shutil

from harness import TOP, ZONE_TEXT, Skip, addresses, ask, check, check_equal, is_sanitized, run

# A few hundredths over what gcc 12 makes of it today.
CEILING = {"txt": 850, "country": 940, "local": 1180, "static": 830, "nxdomain": 910, "referral": 920, "cname": 4400}
ANSWER = {"txt": "rcode=0 answers=1", "country": "rcode=0 answers=3", "local": "rcode=0 answers=3", "static": "rcode=0 answers=1",
          "nxdomain": "rcode=3 answers=0", "referral": "rcode=0 answers=0", "cname": "rcode=0 answers=2"}
TIMES = 2000
GROWTH_MAX = 0.03
PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.environ.get("DNSD_BIN", os.path.join(TOP, "build/bin/dnsd")))),
                       "tests", "bench", "instructions")


def count(kind, times, folder):
    status, text = run(["valgrind", "--tool=callgrind", "--toggle-collect=answer_query",
                        f"--callgrind-out-file={folder}/callgrind.{kind}", PROGRAM, kind, str(times)], 120)
    check(status == 0, f"{kind}: exit status {status}:\n{text}")
    check(ANSWER[kind] in text, f"{kind}: not the answer that is meant, {ANSWER[kind]}:\n{text}")
    return int(re.search(r"Collected : (\d+)", text)[1])


def need_valgrind():
    if is_sanitized():
        raise Skip("a sanitizer counts its own instructions")
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed; scripts/setup.sh test installs it")


def count_daemon(case, mirrors_n, statics_n):
    """Instructions of answer_queries() for an answer of a real daemon with a site of that size: country, nearest and zone file by turns."""
    countries = ["DE", "FR", "JP", "US", "CZ"]
    mirrors = [(f"m{i}.example.net", countries[i % len(countries)], [f"198.18.{i >> 8}.{i & 255}"]) for i in range(mirrors_n)]
    more = "".join(f"h{i}\tA\t203.0.{i >> 8 & 255}.{i & 255}\n" for i in range(statics_n))
    site = case.site().pool_site(mirrors, zone_text=ZONE_TEXT + more, pool={"max-answers": 4}, workers=1, server='sandbox = "off";')
    daemon = case.daemon(site, prefix=["valgrind", "--tool=callgrind", "--toggle-collect=answer_queries", "--instr-atstart=no",
                                       f"--callgrind-out-file={site.file('callgrind')}"])
    status, text = run(["callgrind_control", "--instr=on", str(daemon.pid)])  # to watch the load as well would take long
    check(status == 0, f"callgrind_control: {text}")
    asked = 0
    for i in range(100):
        for name, answers_n in ((f"db.{countries[i % len(countries)]}", 4), ("db.local", 4), (f"h{i * 7919 % statics_n}", 1)):
            answer = ask(daemon, f"{name}.clamav.test", source=f"127.{1 + i % 3}.0.1")
            check_equal(len(addresses(answer)), answers_n, f"addresses of {name}")
            asked += 1
    daemon.stop()
    return int(re.search(rf"=={daemon.pid}== Collected : (\d+)", "\n".join(daemon.log.lines))[1]) / asked  # its launcher tells of none


def test_growth(case, _):
    """A hundred times the mirrors, a thousand times the records: an answer costs the same, within three hundredths."""
    need_valgrind()
    small, mirrors, records = (count_daemon(case, *size) for size in ((100, 100), (10000, 100), (100, 100000)))
    print(f"     instructions an answer: {small:.0f}; with 10,000 mirrors {mirrors:.0f}, with 100,000 records {records:.0f}")
    for what, got in (("10,000 mirrors", mirrors), ("100,000 records", records)):
        check(abs(got / small - 1) <= GROWTH_MAX, f"{got:.0f} instructions an answer with {what}, {small:.0f} with 100 of each")


def test_ceiling(case, _):
    """Each kind within its ceiling; the figures are told."""
    need_valgrind()
    folder = case.folder
    told = []
    over = []
    for kind, ceiling in CEILING.items():
        # The first answer touches what the others find.
        each = (count(kind, TIMES, folder) - count(kind, 1, folder)) / (TIMES - 1)
        told.append(f"{kind} {each:.0f}")
        check(each > ceiling / 2, f"{kind}: {each:.0f} instructions a query: is it answer_query() still that is counted?")
        if each > ceiling:
            over.append(f"{kind}: {each:.0f} instructions a query, ceiling {ceiling}")
    print("     instructions a query: " + ", ".join(told))
    check(not over, "\n".join(over))
