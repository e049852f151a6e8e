"""What is made from the option table: the man page, and the completions of three shells. A shell or a roff that is not here skips
in words. The completions are asked as the shell asks them."""

import json
import os
import pty
import re
import select
import shutil
import subprocess

import pytest

from conftest import ROOT

COMMANDS = ["analyze", "detect", "compare", "crop", "models", "providers", "doctor", "bench", "validate", "serve", "completion", "manual", "version"]


def need(tool):
    path = shutil.which(tool)
    if not path:
        pytest.skip("no %s on this machine" % tool)
    return path


def rows_of(facemill, command):
    return {row["option"]: row for row in json.loads(facemill(command, "--print-config").out)["options"]}


def providers_of(facemill):
    return {row["provider"] for row in facemill("providers", "--format", "jsonl", code=None).records}


# ---------------------------------------------------------------- the commands that print

def test_usage_and_output(facemill, tmp_path):
    for arguments in (["completion"], ["completion", "csh"], ["completion", "bash", "zsh"], ["manual", "x"], ["manual", "--format", "jsonl"]):
        ran = facemill(*arguments, code=2)
        assert ran.out == "" and "help" in ran.err
    for arguments in (["manual"], ["completion", "bash"], ["completion", "zsh"], ["completion", "fish"]):
        text = facemill(*arguments).out
        facemill(*arguments, "--output", tmp_path / "f")
        assert (tmp_path / "f").read_text() == text and text.endswith("\n") and text.isascii()
        assert facemill(*arguments, FM_ORT_LIBRARY="/nowhere").out == text, "another machine, another text"
        assert facemill(*arguments, FM_FORMAT="csv").out == text
    facemill("manual", "--output", "/dev/full", code=5)


# ---------------------------------------------------------------- man page

@pytest.fixture
def page(facemill, tmp_path):
    path = tmp_path / "facemill.1"
    path.write_text(facemill("manual").out)
    return path


def plain(page):
    done = subprocess.run([need("groff"), "-man", "-Tascii", "-P-cbou", "-rLL=200n", "-rHY=0", str(page)], stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode()


def test_man_page_has_no_warnings(page):
    done = subprocess.run([need("groff"), "-man", "-ww", "-z", "-Tutf8", str(page)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert (done.returncode, done.stdout.decode()) == (0, "")


def test_man_page_as_man_reads_it(page):
    done = subprocess.run([need("man"), "--warnings", "-l", str(page)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="100"))
    if "minimized" in done.stdout.decode():
        pytest.skip("man is not really installed here: " + done.stdout.decode().splitlines()[0])
    assert done.returncode == 0 and done.stderr == b"" and b"images in, faces out" in done.stdout


def test_man_page_passes_mandoc(page):
    done = subprocess.run([need("mandoc"), "-T", "lint", "-W", "warning", str(page)], stdout=subprocess.PIPE, timeout=60)
    problems = [line for line in done.stdout.decode().splitlines() if "missing date" not in line]  # it is made, not dated
    assert not problems, problems


def test_man_page_is_complete(page, facemill):
    text = plain(page)
    sections = re.split(r"^([A-Z][A-Z ]+)$", text, flags=re.M)
    assert [title for title in sections[1::2]] == ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS",
                                                    "EXAMPLES", "SEE ALSO"]
    told = dict(zip(sections[1::2], sections[2::2]))
    seen = set()
    for command in COMMANDS:
        assert "facemill %s [OPTION...]" % command in told["SYNOPSIS"]
        part = re.search(r"^   facemill %s\b.*?(?=^   facemill |\Z)" % command, told["COMMANDS"], flags=re.S | re.M).group()
        listed = re.search(r"Options:(.*)\.", part, flags=re.S).group(1)
        rows = rows_of(facemill, command)
        assert set(re.findall(r"--([a-z-]+)", listed)) == set(rows), command
        for name, row in rows.items():
            assert row["environment"] in told["ENVIRONMENT"].split()
            block = re.search(r"^ {7}--%s\b(?!-).*?(?=^ {7}--|^   \S|\Z)" % name, told["OPTIONS"], flags=re.S | re.M).group()
            block = " ".join(block.split())
            assert row["default"] is None or "Default: %s." % row["default"] in block
            assert row["alias"] is None or "Also --%s." % row["alias"] in block
            assert "For " not in block or re.search(r"\b%s\b" % command, block.split("For ")[-1]), (name, command)
        seen |= set(rows)
        for line in re.findall(r"^  (facemill .*)$", facemill(command, "--help").out.split("Examples:")[1], flags=re.M):
            assert " ".join(line.split()) in " ".join(told["EXAMPLES"].split()), line
    assert set(re.findall(r"^ {7}--([a-z-]+)", told["OPTIONS"], flags=re.M)) == seen | {"help"}
    for number, words in re.findall(r"^  ([\d, ]+?)  (.*)$", facemill("--help").out.split("Exit codes:")[1], flags=re.M):
        assert re.search(r"^ +%s\s+%s" % (number, re.escape(words[:30])), told["EXIT STATUS"], flags=re.M), number
    assert "\\" not in text and "(aq" not in text


# ---------------------------------------------------------------- bash

@pytest.fixture
def bash(facemill, tmp_path):
    """What bash offers for a line, with the cursor at its end; words as bash cuts them."""
    need("bash")
    script = tmp_path / "facemill.bash"
    script.write_text(facemill("completion", "bash").out)

    def complete(line, breaks=" \t\n\"'><=;|&(:", cwd=None):
        words = [word for word in re.split(r"([=:]+)|\s+", line) if word] + ([""] if line.endswith(" ") else [])
        if "=" not in breaks:
            words = line.split(" ")
        quoted = " ".join("'%s'" % word for word in words)
        run = ("set -u; source %s; COMP_WORDBREAKS=$1; COMP_WORDS=(%s); COMP_CWORD=%d; COMP_LINE=$2; COMP_POINT=${#2}; _facemill facemill; "
               'printf "%%s\\n" "${COMPREPLY[@]+"${COMPREPLY[@]}"}"') % (script, quoted, len(words) - 1)
        done = subprocess.run(["bash", "--norc", "-c", run, "bash", breaks, line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                              env=facemill.environment, cwd=cwd)
        assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()
        return sorted(done.stdout.decode().split())
    return complete


def test_bash_commands(bash, facemill):
    assert bash("facemill an") == ["analyze"] and bash("facemill v") == ["validate", "version"]
    assert bash("facemill ") == sorted(COMMANDS + ["--help", "--version"])
    assert bash("facemill --v") == ["--version"] and bash("facemill nothing") == []


def test_bash_options_of_every_command(bash, facemill):
    for command in COMMANDS:
        rows = rows_of(facemill, command)
        assert bash("facemill %s --" % command) == sorted(["--" + name for name in rows] + ["--help"]), command
        flags = ["--no-" + name for name, row in rows.items() if row["type"] == "flag"]
        assert bash("facemill %s --no-" % command) == sorted(flags), command
    assert bash("facemill analyze --det-th") == ["--det-threshold"]
    assert bash("facemill analyze photos/ --threads 3 --rec") == ["--recursive"]
    assert bash("facemill version --det") == []


def test_bash_values(bash, facemill):
    for command in COMMANDS:
        for name, row in rows_of(facemill, command).items():
            if row["type"] == "choice":
                assert bash("facemill %s --%s " % (command, name)) == sorted(row["choices"].split("|"))
    assert bash("facemill analyze --format ") == ["csv", "jsonl", "table"] and bash("facemill analyze --format c") == ["csv"]
    assert bash("facemill analyze --format=") == ["csv", "jsonl", "table"] and bash("facemill analyze --format=js") == ["jsonl"]
    assert bash("facemill analyze --device c") == ["cpu"]
    assert bash("facemill analyze --threads ") == [] and bash("facemill analyze --output ") == []  # none; the shell's own files
    assert bash("facemill analyze --recursive ") == []  # a flag: what follows is an input


def test_bash_providers(bash, facemill):
    names = providers_of(facemill)
    assert {"ort:cpu", "ort:cuda"} <= names
    assert bash("facemill analyze --provider ") == sorted(names)
    behind = sorted(name[4:] for name in names if name.startswith("ort:c"))
    assert bash("facemill analyze --provider ort:c") == bash("facemill analyze --provider=ort:c") == behind  # ':' ends a word
    assert bash("facemill analyze --provider ort:c", breaks=" \t\n") == sorted(name for name in names if name.startswith("ort:c"))
    assert bash("facemill bench --providers ort:cuda,nat") == ["cuda,native"]
    assert bash("facemill analyze --provider ort:cuda,ort:cp", breaks=" \t\n") == ["ort:cuda,ort:cpu"]
    assert bash("facemill analyze --provider ort:cpu --det-th") == ["--det-threshold"]
    assert bash("facemill validate ort:cp") == ["cpu"]


def test_bash_actions_of_models(bash, facemill):
    actions = sorted(re.search(r"models takes (.*), not", facemill("models", code=2).err).group(1).replace(" or ", ", ").split(", "))
    assert bash("facemill models ") == actions and "list" in actions and "show" in actions
    assert bash("facemill models sh") == ["show"] and bash("facemill models --quiet sh") == ["show"]
    assert bash("facemill models show ") == []  # names of files
    assert bash("facemill completion ") == ["bash", "fish", "zsh"] and bash("facemill completion bash ") == []
    assert bash("facemill doctor ") == []


class Keys:
    """A shell that reads keys, on a pseudo-terminal."""

    def __init__(self, arguments, folder, environment):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.shell = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=slave, cwd=folder, start_new_session=True,
                                      env=dict(environment, PS1="", TERM="dumb", HISTFILE="", INPUTRC="/dev/null"))
        os.close(slave)

    def type(self, keys, until):
        """Press them, and read until these words are there."""
        os.write(self.master, keys)
        while until not in self.seen:
            ready, _, _ = select.select([self.master], [], [], 20)
            assert ready, self.seen.decode(errors="replace")
            self.seen += os.read(self.master, 65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shell.kill()
        self.shell.wait(timeout=20)
        os.close(self.master)


@pytest.fixture
def pictures_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pictures of one").mkdir()
    (tmp_path / "in" / "pictures of one" / "a.png").write_text("")
    return tmp_path / "in"


SHOW = b"facemill() { printf '<%s>' \"$@\"; echo; }; echo ready$((1))\n"


def test_bash_with_real_keys(facemill, pictures_folder):
    need("bash")
    (pictures_folder / "c.bash").write_text(facemill("completion", "bash").out)
    with Keys(["bash", "--norc", "-i"], pictures_folder, facemill.environment) as keys:
        keys.type(b"bind 'set enable-bracketed-paste off'; source c.bash; " + SHOW, b"ready1")
        keys.type(b"facemill anal\t--form\tcs\t--provider ort:tens\tpict\ta\t\n",
                  b"<analyze><--format><csv><--provider><ort:tensorrt><pictures of one/a.png>")
        keys.type(b"facemill detect --output c.ba\t--draw pict\t\n", b"<detect><--output><c.bash><--draw><pictures of one/>")


# ---------------------------------------------------------------- zsh and fish

def test_zsh_reads_it(facemill, tmp_path):
    zsh = need("zsh")
    script = tmp_path / "_facemill"
    script.write_text(facemill("completion", "zsh").out)
    subprocess.run([zsh, "-n", str(script)], check=True, timeout=30)
    assert script.read_text().startswith("#compdef facemill\n")
    run = "fpath=(%s $fpath); autoload -Uz compinit && compinit -u -d %s && print -r -- $_comps[facemill]" % (tmp_path, tmp_path / "dump")
    done = subprocess.run([zsh, "-f", "-c", run], stdout=subprocess.PIPE, check=True, timeout=30, env=facemill.environment)
    assert done.stdout.decode().split() == ["_facemill"]
    for command in COMMANDS:
        part = re.search(r"^        %s\)\n(.*?)^            ;;$" % command, script.read_text(), flags=re.S | re.M).group(1)
        for name, row in rows_of(facemill, command).items():
            spec = re.search(r"^ +'\*?--%s=?\[.*$" % name, part, flags=re.M)
            assert spec, "%s: %s" % (command, name)
            assert row["type"] != "choice" or "(%s)'" % row["choices"].replace("|", " ") in spec.group()


def test_zsh_with_real_keys(facemill, pictures_folder):
    zsh = need("zsh")
    (pictures_folder / "_facemill").write_text(facemill("completion", "zsh").out)
    with Keys([zsh, "-f", "-i"], pictures_folder, facemill.environment) as keys:
        keys.type(b"fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -d dump; setopt no_beep; " + SHOW, b"ready1")
        keys.type(b"facemill anal\t--form\tcs\t --provider ort:tens\t pict\ta\t\n",
                  b"<analyze><--format=csv><--provider><ort:tensorrt><pictures of one/a.png>")
        keys.type(b"facemill detect --provider ort:cuda,ort:cp\t\n", b"<detect><--provider><ort:cuda,ort:cpu>")
        keys.type(b"facemill models sh\t\n", b"<models><show>")


def test_fish_completes(facemill, tmp_path):
    fish = need("fish")
    script = tmp_path / "facemill.fish"
    script.write_text(facemill("completion", "fish").out)
    subprocess.run([fish, "-n", str(script)], check=True, timeout=30)

    def complete(*lines):
        run = "source %s; " % script + "; echo ==; ".join("complete -C '%s'" % line for line in lines)
        done = subprocess.run([fish, "--no-config", "-c", run], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, cwd=tmp_path,
                              env=dict(facemill.environment, PATH=os.path.dirname(facemill.program) + ":" + os.environ["PATH"]))
        assert done.returncode == 0 and not done.stderr, done.stderr.decode()
        return [[line.split("\t")[0] for line in part.splitlines()] for part in (done.stdout.decode() + "\n").replace("\n==", "==").split("==")]
    answers = complete("facemill an", "facemill analyze --det-th", "facemill analyze --format ", "facemill models ", "facemill analyze facemill.f",
                       "facemill analyze --provider ort:cu", "facemill version --det-")
    found = [[line for line in part if line] for part in answers]
    assert found[:3] == [["analyze"], ["--det-threshold"], ["csv", "jsonl", "table"]]
    assert {"list", "show", "verify"} <= set(found[3]) and found[4] == ["facemill.fish"] and found[5] == ["ort:cuda"] and found[6] == []


# ---------------------------------------------------------------- installed

def test_installed_files_are_what_the_program_prints(facemill, tmp_path):
    build = os.path.dirname(os.path.dirname(os.path.dirname(facemill.program)))
    if not os.path.isfile(os.path.join(build, "cmake_install.cmake")):
        pytest.skip("the program does not lie in a build folder")
    if not os.path.isdir(os.path.join(build, "help")):
        pytest.skip("this build makes no man page and completions (sanitizer, or cross-compiled)")
    subprocess.run([need("cmake"), "--install", build, "--prefix", str(tmp_path / "root")], stdout=subprocess.DEVNULL, check=True, timeout=120)
    for path, arguments in (("man/man1/facemill.1", ["manual"]), ("bash-completion/completions/facemill", ["completion", "bash"]),
                            ("zsh/site-functions/_facemill", ["completion", "zsh"]), ("fish/vendor_completions.d/facemill.fish", ["completion", "fish"])):
        assert (tmp_path / "root" / "share" / path).read_text() == facemill(*arguments).out, path
    schema = tmp_path / "root" / "share" / "doc" / "facemill" / "output.schema.json"
    assert schema.read_text() == open(os.path.join(ROOT, "docs", "output.schema.json"), encoding="utf-8").read()
