#!/usr/bin/python3
"""Line coverage of a build with --coverage: cov.py BUILD [FOLDER...]

Reads what the programs have left behind (*.gcda) with gcov. Prints a table by folder, then each file of the FOLDERs (the
packet code) with the lines that no test has come to. Exit status 1 when a FOLDER is under 95 %.
"""
import collections
import json
import os
import subprocess
import sys

GOAL = 95.0
SHIPPED = ("dnsd/", "zones/", "geo/", "tools/")


def read_counts(build):
    """{file: {line: times it was run}}"""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(build) for name in names if name.endswith(".gcda")]
    if not files:
        sys.exit(f"cov.py: no *.gcda below {build}: was it built with --coverage, and were the tests run?")
    counts = collections.defaultdict(lambda: collections.defaultdict(int))
    for at in range(0, len(files), 50):
        said = subprocess.run(["gcov", "--json-format", "--stdout", *files[at:at + 50]], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=True)
        for line in said.stdout.splitlines():
            for source in json.loads(line)["files"] if line else []:
                if source["file"].startswith(SHIPPED):
                    for entry in source["lines"]:
                        counts[source["file"]][entry["line_number"]] += entry["count"]
    return counts


def ranges(numbers):
    """[1, 2, 3, 7] -> "1-3 7" """
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)


def share(lines):
    done = sum(1 for times in lines if times)
    return done, len(lines), 100 * done / len(lines) if lines else 100.0


def main(build, wanted):
    counts = read_counts(build)
    folders = collections.defaultdict(list)
    for file, lines in counts.items():
        folders[os.path.dirname(file)] += lines.values()
    print(f"{'folder':20} {'lines':>7} {'run':>7} {'share':>8}")
    low = []
    for folder in sorted(folders):
        done, total, percent = share(folders[folder])
        mark = ""
        if folder in wanted and percent < GOAL:
            mark = f"   under {GOAL:g} %"
            low.append(folder)
        print(f"{folder:20} {total:7} {done:7} {percent:7.1f} %{mark}")
    done, total, percent = share([times for lines in folders.values() for times in lines])
    print(f"{'all':20} {total:7} {done:7} {percent:7.1f} %")
    print("\nnot run in the packet code:")
    for file in sorted(counts):
        if os.path.dirname(file) in wanted:
            _, _, percent = share(list(counts[file].values()))
            missing = [line for line, times in counts[file].items() if not times]
            if missing:
                print(f"{file} ({percent:.1f} %): {ranges(missing)}")
    return 1 if low else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    sys.exit(main(sys.argv[1], sys.argv[2:]))
