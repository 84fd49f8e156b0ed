"""Instructions of answer_query() by kind of question, counted by valgrind: they repeat exactly, so they may have a ceiling.

A rise that is worth it moves the ceiling here and the figure in docs/performance.md.
"""
import os
import re
import shutil

from harness import TOP, Skip, check, is_sanitized, run

# A few hundredths over what gcc 12 makes of it today.
CEILING = {"txt": 850, "country": 940, "local": 1180, "static": 830, "nxdomain": 910, "referral": 920, "cname": 4400}
TIMES = 2000
PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.environ.get("DNSD_BIN", os.path.join(TOP, "build/bin/dnsd")))),
                       "tests", "bench", "instructions")


def count(kind, times, folder):
    status, text = run(["valgrind", "--tool=callgrind", "--toggle-collect=answer_query",
                        f"--callgrind-out-file={folder}/callgrind.{kind}", PROGRAM, kind, str(times)], 120)
    check(status == 0, f"{kind}: exit status {status}:\n{text}")
    return int(re.search(r"Collected : (\d+)", text)[1])


def test_ceiling(case, _):
    """Each kind within its ceiling; the figures are told."""
    if is_sanitized():
        raise Skip("a sanitizer counts its own instructions")
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed; scripts/setup.sh test installs it")
    folder = case.folder
    told = []
    over = []
    for kind, ceiling in CEILING.items():
        # The first answer touches what the others find.
        each = (count(kind, TIMES, folder) - count(kind, 1, folder)) / (TIMES - 1)
        told.append(f"{kind} {each:.0f}")
        if each > ceiling:
            over.append(f"{kind}: {each:.0f} instructions a query, ceiling {ceiling}")
    print("     instructions a query: " + ", ".join(told))
    check(not over, "\n".join(over))
