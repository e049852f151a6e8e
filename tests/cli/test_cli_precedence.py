"""Precedence by walking the option table: for every option of every command the command line goes before the environment, that
before the config file, that before the default; and a bad value is refused wherever it stands, in words that name the place."""

import glob
import json
import os
import re

import pytest

from conftest import ROOT

COMMANDS = ["analyze", "detect", "compare", "crop", "models", "providers", "doctor", "bench", "validate", "serve", "completion", "manual", "version"]
APART = ("config", "print-config")  # they say where to read, and whether to print: a test of their own


def printed(ran):
    return {row["option"]: row for row in json.loads(ran.out)["options"]}


def variable(name):
    return "FM_" + name.upper().replace("-", "_")


def samples(row):
    """Three different good values of an option, by its type."""
    if row["type"] == "flag":
        return ["yes", "no", "yes"]
    if row["type"] == "choice":
        words = row["choices"].split("|")
        return [words[i % len(words)] for i in (1, 0, len(words) - 1)]
    if row["type"] in ("integer", "number"):
        low, high = row["low"], row["high"]
        step = 112 if row["option"] == "size" else max(1, (high - low) // 10) if row["type"] == "integer" else (high - low) / 10
        return ["%g" % (low + step * i) if row["type"] == "number" else "%d" % (low + step * i) for i in (1, 2, 3)]
    return {"bytes": ["3M", "5K", "7"], "sizes": ["128", "128,640", "320"], "device": ["1", "cpu", "2"],
            "pair": ["ort:cuda:a=1", "ort:cpu:b=2", "p:c="], "text": ["x", "y y", "z"], "list": ["x", "y", "z"]}[row["type"]]


def bad_values(row):
    """Values that the option's type has to refuse; "" is unset in the environment."""
    if row["type"] == "integer":
        return ["%d" % (row["low"] - 1), "%d" % (row["high"] + 1), "1.5", "two", ""]
    if row["type"] == "number":
        return ["%r" % (row["low"] - 0.001), "%r" % (row["high"] * 1.001 + 0.001), "nan", "inf", "0x1p0", "1,5", ""]
    return {"flag": ["maybe", "2", "YES", ""], "choice": ["nothing", row.get("choices", ""), ""], "bytes": ["2X", "-1", "1.5G", "0"],
            "sizes": ["100", "0", "640,", ",640", "64,96,128,160,192"], "device": ["gpu", "-1", "64"],
            "pair": ["nothing", "a:b", "=c", "a:=c"], "text": [""], "list": [""]}[row["type"]]


@pytest.fixture
def rows_of(facemill):
    """The rows of a command as they are without config file and variables."""
    return lambda command: printed(facemill(command, "--print-config"))


def test_the_walk_meets_every_row_of_the_table(facemill, rows_of):
    source = open(os.path.join(ROOT, "service", "config", "options.c"), encoding="utf-8").read()
    table = re.findall(r"\[OPT_\w+\] =\s*\{\"([a-z-]+)\"", source)
    assert len(table) > 50 and {name for command in COMMANDS for name in rows_of(command)} == set(table)
    listed = re.findall(r"^  ([a-z]+) ", facemill("--help").out.split("Commands:")[1].split("\n\n")[0], flags=re.M)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_precedence_of_every_option(facemill, tmp_path, command, rows_of):
    """Command line over environment over config file over default, for each row of the table, and who is said to have given it.
    All options at once, each in another state; after as many rounds as there are states each was in every one."""
    rows = {name: row for name, row in rows_of(command).items() if name not in APART}
    states = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)]  # file, environment, command line
    config = tmp_path / "config"
    assert rows
    for turn in range(len(states)):
        lines, environment, arguments, wanted = ["# a comment", ""], {}, [], {}
        for number, (name, row) in enumerate(rows.items()):
            assert row["environment"] == variable(name) and row["source"] == "default" and row["value"] == row["default"], name
            in_file, in_environment, on_line = samples(row)
            state = states[(number + turn) % len(states)]
            environment[variable(name)] = in_environment if state[1] else ""  # an empty variable is an unset one
            if state[0]:
                lines.append("%s = %s" % (name, in_file))
            if state[2]:
                arguments.append("--%s=%s" % (name, on_line))
            value, source = ((on_line, "command") if state[2] else (in_environment, "environment") if state[1] else
                             (in_file, "config") if state[0] else (row["default"], "default"))
            wanted[name] = ([value] if row["type"] in ("pair", "list") and source != "default" else value, source)
        config.write_text("\n".join(lines) + "\n")
        seen = printed(facemill(command, "--config", config, "--print-config", *arguments, **environment))
        assert {name: (row["value"], row["source"]) for name, row in seen.items() if name not in APART} == wanted


def test_an_option_leaves_the_others_alone(facemill, tmp_path, rows_of):
    for name, (command, row) in first_commands(rows_of).items():
        if name in APART:
            continue
        config = tmp_path / "config"
        config.write_text("%s = %s\n" % (name, samples(row)[0]))
        seen = printed(facemill(command, "--config", config, "--print-config", **{variable(name): samples(row)[1]}))
        assert sorted(other for other in seen if seen[other]["source"] != "default") == sorted(APART + (name,))


def first_commands(rows_of):
    """{option: (a command that has it, its row)}"""
    found = {}
    for command in COMMANDS:
        for name, row in rows_of(command).items():
            found.setdefault(name, (command, row))
    return found


def test_flags_in_every_spelling(facemill, tmp_path, rows_of):
    config = tmp_path / "config"
    for name, (command, row) in first_commands(rows_of).items():
        if row["type"] != "flag" or name in APART:
            continue
        for yes, no in (("yes", "no"), ("true", "false"), ("1", "0"), ("on", "off")):
            config.write_text("%s = %s\n" % (name, yes))
            ran = facemill(command, "--config", config, "--print-config", **{variable(name): no})
            assert printed(ran)[name]["value"] == no
        config.write_text("%s = yes\n" % name)
        ran = facemill(command, "--config", config, "--print-config", "--no-" + name, **{variable(name): "yes"})
        assert (printed(ran)[name]["value"], printed(ran)[name]["source"]) == ("no", "command"), name
        ran = facemill(command, "--print-config", "--no-" + name, "--" + name)  # the last one
        assert printed(ran)[name]["value"] == "yes", name


def test_a_place_that_wins_replaces_a_whole_list(facemill, tmp_path, rows_of):
    lists = {name: found for name, found in first_commands(rows_of).items() if found[1]["type"] in ("pair", "list")}
    assert set(lists) >= {"provider-option", "from-file", "images"}
    for name, (command, row) in lists.items():
        a, b, c = samples(row)
        config = tmp_path / "config"
        config.write_text("%s = %s\n%s = %s\n%s = %s\n" % ((name, a, name, b, name, a)))

        def value(*arguments, **environment):
            return printed(facemill(command, "--config", config, "--print-config", *arguments, **environment))[name]["value"]
        assert value() == [a, b, a], name
        assert value(**{variable(name): "%s;;%s;" % (b, c)}) == [b, c], name
        assert value("--" + name, c, "--" + name, a, **{variable(name): b}) == [c, a], name


def test_of_a_single_value_the_last_one_counts(facemill, tmp_path, rows_of):
    for name, (command, row) in first_commands(rows_of).items():
        if row["type"] in ("pair", "list", "flag") or name in APART:
            continue
        a, b, _ = samples(row)
        config = tmp_path / "config"
        config.write_text("%s = %s\n%s = %s\n" % (name, a, name, b))
        assert printed(facemill(command, "--config", config, "--print-config"))[name]["value"] == b, name
        ran = facemill(command, "--print-config", "--" + name, b, "--%s=%s" % (name, a))
        assert printed(ran)[name]["value"] == a, name


def test_aliases_in_every_place(facemill, tmp_path, rows_of):
    aliased = {name: found for name, found in first_commands(rows_of).items() if found[1]["alias"]}
    assert len(aliased) >= 6
    for name, (command, row) in aliased.items():
        in_file, in_environment, on_line = samples(row)
        alias = row["alias"]
        config = tmp_path / "config"
        config.write_text("%s = %s\n" % (alias, in_file))

        def seen(*arguments, **environment):
            row = printed(facemill(command, "--config", config, "--print-config", *arguments, **environment))[name]
            return row["value"], row["source"]
        assert seen() == (in_file, "config"), alias
        assert seen(**{variable(alias): in_environment}) == (in_environment, "environment"), alias
        assert seen("--%s=%s" % (alias, on_line), **{variable(alias): in_environment}) == (on_line, "command"), alias
        if row["type"] != "flag":
            both = {variable(alias): in_environment, variable(name): on_line}
            assert seen(**both) == (on_line, "environment"), "of two variables the option's own name counts: " + alias


def test_a_bad_value_names_its_place_and_the_option(facemill, tmp_path, rows_of):
    """Each option, each bad value of its type, each place: exit code 2, nothing on standard output."""
    config = tmp_path / "my.conf"
    tried = 0
    for name, (command, row) in first_commands(rows_of).items():
        if name in APART:
            continue
        for bad in bad_values(row):
            config.write_text("\n%s = %s\n" % (name, bad))
            places = [(["--%s=%s" % (name, bad)], {}, "facemill: --%s: " % name), (["--config", config], {}, "facemill: %s:2: %s: " % (config, name))]
            if bad:
                places.append(([], {variable(name): bad}, "facemill: %s: " % variable(name)))
            for arguments, environment, words in places:
                ran = facemill(command, *arguments, code=None, **environment)
                assert ran.code == 2 and ran.out == "", "%s: %s %s: %d" % (name, arguments, environment, ran.code)
                assert ran.err.startswith(words + "'%s' is not a value of it; expected " % bad), ran.err
                tried += 1
    assert tried > 300


def test_a_bad_value_that_is_overruled(facemill, tmp_path):
    """In the environment it is nobody's business; in the config file a mistake shows up when it is made."""
    config = tmp_path / "config"
    config.write_text("threads = none\n")
    facemill("analyze", "--print-config", "--threads", 1, FM_THREADS="none")
    for environment in ({}, {"FM_THREADS": "2"}):
        ran = facemill("analyze", "--print-config", "--config", config, "--threads", 1, code=2, **environment)
        assert "%s:1: threads: 'none'" % config in ran.err


def test_the_two_options_about_options(facemill, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("threads = 1\n")
    two.write_text("threads = 2\nprint-config = yes\n")

    def threads(*arguments, **environment):
        ran = facemill("analyze", *arguments, **environment)
        return printed(ran)["threads"]["value"], printed(ran)["config"]["source"], printed(ran)["print-config"]["source"]
    assert threads("--print-config") == (None, "default", "command")
    assert threads("--print-config", FM_CONFIG=one) == ("1", "environment", "command")
    assert threads("--config", two, FM_CONFIG=one) == ("2", "command", "config")
    assert threads(FM_CONFIG=one, FM_PRINT_CONFIG="on") == ("1", "environment", "environment")
    ran = facemill("version", "--config", two, "--no-print-config", "--format", "jsonl", FM_PRINT_CONFIG="yes")
    assert "compiler" in ran.records[0]
    assert "FM_PRINT_CONFIG: 'maybe'" in facemill("version", code=2, FM_PRINT_CONFIG="maybe").err


def test_no_program_reads_an_option_past_the_table():
    """A getenv of an FM_ name elsewhere would be a fourth place: those that there are belong to the library, whose callers have
    no table."""
    found = set()
    for path in glob.glob(os.path.join(ROOT, "service", "**", "*.c"), recursive=True) + glob.glob(os.path.join(ROOT, "apps", "**", "*.c"),
                                                                                                 recursive=True):
        for name in re.findall(r'(?:getenv|fm_environment)\("(FM_\w+)"', open(path, encoding="utf-8").read()):
            found.add((os.path.basename(path), name))
    assert not found, found
