#!/usr/bin/env python3
"""Read packaging/docker/Dockerfile, hold it against the documents, and build and start it without Docker.

    docker_steps.py BASE WORK [TARGET]

As root on Linux, with BASE an unpacked Debian 12 (debootstrap makes one) and WORK a folder for copies of it: each stage
that TARGET (default: cpu) needs becomes such a copy, each RUN is run there by chroot, the container's command starts as
its user in a network of its own, and HEALTHCHECK is asked until it agrees. Needs the network, some GB and minutes.
test_deploy.py imports the rest."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKERFILE = os.path.join(ROOT, "packaging", "docker", "Dockerfile")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Stage:
    def __init__(self, parent, name):
        self.parent, self.name, self.steps = parent, name, []

    def all(self, instruction):
        return [words for name, words in self.steps if name == instruction]


def read_stages(path=DOCKERFILE):
    """{name: Stage} in order; ARG before the first FROM is put in."""
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if not line.lstrip().startswith("#")]
    given, stages, stage = {}, {}, None
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).split("\n"):
        name, _, words = line.strip().partition(" ")
        if not name:
            continue
        if name == "FROM":
            found = re.fullmatch(r"(\S+) AS (\S+)", re.sub(r"\$\{(\w+)\}", lambda m: given[m.group(1)], words))
            assert found, "a stage without a name: " + line
            stage = stages[found.group(2)] = Stage(*found.groups())
        elif stage is None:
            assert name == "ARG", line + " before FROM"
            key, _, value = words.partition("=")
            given[key] = value
        else:
            stage.steps.append((name, words.strip()))
    return stages


def line_of(stages, name):
    """The stages that one is made of, the first of them first."""
    found = []
    while name in stages:
        found.insert(0, stages[name])
        name = stages[name].parent
    return found


def copied_from(stages, target):
    """The other stages whose files a target takes."""
    return [source for stage in line_of(stages, target) for words in stage.all("COPY")
            for source in re.findall(r"--from=(\S+)", words)]


def last(stages, target, instruction):
    found = [words for stage in line_of(stages, target) for words in stage.all(instruction)]
    return found[-1] if found else None


def health_command(stages, target):
    return json.loads(last(stages, target, "HEALTHCHECK").partition("CMD ")[2])


# ---------------------------------------------------------------- without Docker

IN_CHROOT = """set -eu; root=$1; shift
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
exec chroot "$root" "$@" """

START = """set -u
"$@" >/tmp/out 2>/tmp/err & worker=$!
for second in $(seq 60); do
    if %s; then healthy=yes; break; fi
    kill -0 $worker 2>/dev/null || break
    sleep 1
done
curl -s http://127.0.0.1:8001/
echo
kill -TERM $worker; wait $worker
echo "healthy: ${healthy:-no}; ended with $?; user $(id -u):$(id -g)"
cat /tmp/out /tmp/err
test "${healthy:-}" = yes"""


class Builder:
    def __init__(self, stages, base, work):
        self.stages, self.base, self.work, self.made = stages, base, work, {}

    def run(self, folder, environment, command, where="/", extra=()):
        passed = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")}
        if "PIP_CERT" in passed:  # of a mirror; the file goes along under a name that no package has
            shutil.copy(passed["PIP_CERT"], os.path.join(folder, "root", "pip-cert.pem"))
            passed["PIP_CERT"] = "/root/pip-cert.pem"
        passed.update({"PATH": PATH, "HOME": "/root"}, **environment)
        inside = ["env", "-C", where, "-i"] + ["%s=%s" % pair for pair in passed.items()] + command
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *extra]
        subprocess.run(apart + ["sh", "-c", IN_CHROOT, "sh", folder] + inside, check=True)

    def copy(self, folder, where, words):
        options, *paths = shlex.split(words) if words.startswith("--") else [""] + shlex.split(words)
        target = folder + os.path.join(where, paths[-1])
        from_stage = re.fullmatch(r"--from=(\S+)", options)
        for path in paths[:-1]:
            source = self.stage(from_stage.group(1))[0] + path if from_stage else os.path.join(ROOT, path)
            if from_stage:
                os.makedirs(target, exist_ok=True)
                subprocess.run(["cp", "-a", source + "/.", target], check=True)
            elif os.path.isdir(source):
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored_here)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(source, target)

    def stage(self, name):
        """(folder, environment) of a stage, built when it was not."""
        if name in self.made:
            return self.made[name]
        stage = self.stages[name]
        parent, environment = self.stage(stage.parent) if stage.parent in self.stages else (self.base, {})
        folder, where, environment = os.path.join(self.work, name), "/", dict(environment)
        print("== stage %s from %s" % (name, stage.parent), flush=True)
        subprocess.run(["cp", "-a", parent, folder], check=True)
        shutil.copy("/etc/resolv.conf", os.path.join(folder, "etc/resolv.conf"))
        for instruction, words in stage.steps:
            print("-- %s %s" % (instruction, words), flush=True)
            if instruction in ("ENV", "ARG"):
                environment.update(word.split("=", 1) for word in shlex.split(words))
            elif instruction == "WORKDIR":
                where = words
                os.makedirs(folder + where, exist_ok=True)
            elif instruction == "COPY":
                self.copy(folder, where, words)
            elif instruction == "RUN":
                self.run(folder, environment, ["sh", "-c", words], where)
        self.made[name] = (folder, environment)
        return self.made[name]

    def start(self, target):
        folder, environment = self.stage(target)
        command = json.loads(last(self.stages, target, "ENTRYPOINT")) + json.loads(last(self.stages, target, "CMD"))
        user = last(self.stages, target, "USER").replace(":", " ").split()
        script = START % shlex.join(health_command(self.stages, target))
        as_user = ["setpriv", "--reuid", user[0], "--regid", user[1], "--clear-groups", "--no-new-privs"]
        self.run(folder, environment, as_user + ["sh", "-c", script, "sh"] + command,
                 extra=("--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"))


def ignored_here(folder, names):
    """What Dockerfile.dockerignore keeps out; its patterns begin at the root."""
    with open(DOCKERFILE + ".dockerignore", encoding="utf-8") as file:
        patterns = [line.strip() for line in file if line.strip()]
    return {name for name in names for pattern in patterns
            if (fnmatch.fnmatch(name, pattern[3:]) if pattern.startswith("**/")
                else os.path.samefile(folder, ROOT) and fnmatch.fnmatch(name, pattern))}


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    builder = Builder(read_stages(), os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    builder.start(sys.argv[3] if len(sys.argv) > 3 else "cpu")
