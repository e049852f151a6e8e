#!/usr/bin/env python3
"""Add up what scripts/test.sh ran.

    count_results.py LOG_FOLDER

Reads LOG_FOLDER/steps ("NAME pass|fail" per line), NAME.xml (JUnit, from ctest or pytest) and NAME.log. A cmocka
program or a pytest run counts as its single tests, anything else as one. Prints a line per step, every failed and skipped test by
name, and last "N passed, N failed, N skipped". Exit 0 only when nothing failed and something passed.
"""
import os
import re
import sys
import xml.etree.ElementTree

CMOCKA = re.compile(r"^\[\s+(OK|FAILED|SKIPPED)\s+\] (?!\d+ test)(.+?)\s*$", re.MULTILINE)
PYTEST = re.compile(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.:]+s", re.MULTILINE)
PYTEST_SKIP = re.compile(r"^SKIPPED \[(\d+)\] (.+)$", re.MULTILINE)
KINDS = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}


def cmocka_results(text):
    """Single tests of a cmocka program's output by name: its closing list names failures again."""
    return {name: KINDS[word] for word, name in CMOCKA.findall(text)}


def skip_reason(text, name):
    """The line a test printed just before it skipped itself, if it printed one."""
    before = re.search(r"^(?!\[)(.+)\n\[\s+SKIPPED\s+\] %s" % re.escape(name), text, re.MULTILINE)
    return re.sub(r"^skipped: ", "", before.group(1).strip()) if before else ""


def pytest_results(text):
    """[(name, kind, note)] of a pytest run's closing line and its list of skips (option -rs); [] without one."""
    closing = PYTEST.search(text)
    if not closing:
        return []
    counts = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", closing.group(1))}
    results = [("pytest", "passed", "")] * counts.get("passed", 0)
    results += [("pytest", "failed", "")] * (counts.get("failed", 0) + counts.get("error", 0))
    skips = [(int(number), why) for number, why in PYTEST_SKIP.findall(text)]
    for number, why in skips:
        results += [("pytest", "skipped", why)] * number
    return results + [("pytest", "skipped", "")] * (counts.get("skipped", 0) - sum(number for number, _ in skips))


def skip_words(output, skipped):
    """Why a whole program skipped itself: its last line, else what the report says."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return re.sub(r"^skipped: ", "", lines[-1]) if lines else skipped.get("message") or ""


def case_results(case):
    """[(name, kind, note)] of one JUnit test case."""
    title = case.get("name", "?")
    output = "".join(part.text or "" for part in case.iter() if part.tag in ("system-out", "system-err"))
    skipped = case.find("skipped")
    if case.find("failure") is not None or case.find("error") is not None:
        kind = "failed"
    elif skipped is not None or case.get("status") in ("notrun", "disabled"):
        kind = "skipped"
    else:
        kind = "passed"
    singles = cmocka_results(output)
    inside = [] if singles else pytest_results(output)
    if inside and (kind != "failed" or any(k == "failed" for _, k, _ in inside)):
        return [("%s/%s" % (title, name), single, note) for name, single, note in inside]
    if not singles:
        return [(title, kind, skip_words(output, skipped) if skipped is not None else "")]
    results = [("%s/%s" % (title, name), single, skip_reason(output, name)) for name, single in singles.items()]
    if kind == "failed" and "failed" not in singles.values():  # died, leaked or timed out outside a single test
        results.append((title, "failed", "the program failed"))
    return results


def failure_words(case):
    """The end of what a failed test printed."""
    parts = [part.text or "" for part in case.iter() if part.tag in ("system-out", "system-err", "failure", "error")]
    return "\n".join("        " + line for line in "\n".join(parts).strip().splitlines()[-40:])


def step_results(folder, name, ended):
    report = os.path.join(folder, name + ".xml")
    if os.path.exists(report):
        root = xml.etree.ElementTree.parse(report).getroot()
        results = []
        for case in root.iter("testcase"):
            found = case_results(case)
            results += found
            if any(kind == "failed" for _, kind, _ in found):
                print("---- %s, %s:\n%s" % (name, case.get("name"), failure_words(case)))
    else:
        with open(os.path.join(folder, name + ".log"), errors="replace") as file:
            text = file.read()
        results = [(single, kind, skip_reason(text, single)) for single, kind in cmocka_results(text).items()]
        if not name.startswith(("setup-", "configure-", "build-")):  # a means, no test; it counts when it fails
            results.append((name, "passed" if ended == "pass" else "failed", ""))
    if ended == "fail" and not any(kind == "failed" for _, kind, _ in results):
        results.append((name, "failed", "see %s.log" % name))
    return results


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folder = sys.argv[1]
    with open(os.path.join(folder, "steps")) as file:
        steps = [line.split() for line in file]
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name, ended in steps:
        results = step_results(folder, name, ended)
        counts = {kind: sum(1 for _, k, _ in results if k == kind) for kind in total}
        if results:
            print("%-12s %5d passed %5d failed %5d skipped"
                  % (name, counts["passed"], counts["failed"], counts["skipped"]))
        for title, kind, note in results:
            if kind != "passed":
                print("    %s: %s%s" % (kind, title, " (%s)" % note if note else ""))
        for kind in total:
            total[kind] += counts[kind]
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % total)
    return 0 if total["failed"] == 0 and total["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
