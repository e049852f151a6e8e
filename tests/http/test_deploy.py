"""What docs/deploy.md promises: units that systemd understands, sockets that it hands over, what the worker tells it,
and a Dockerfile whose steps are the documents' own."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

import docker_steps
from conftest import PATIENCE, ROOT, UnixConnection, Worker, multipart, numbered_squares, png, wait_for

GUIDE = os.path.join(ROOT, "docs", "deploy.md")
COMPOSE = os.path.join(ROOT, "packaging", "docker", "compose.yaml")


def read(*parts):
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def tool(name):
    path = shutil.which(name)
    if not path:
        pytest.skip("no %s here (Debian: systemd)" % name)
    return path


# ---------------------------------------------------------------- units

@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """The folder of units as `cmake --install` writes it."""
    prefix = tmp_path_factory.mktemp("prefix")
    done = subprocess.run([os.environ["FM_CMAKE"], "--install", os.environ["FM_BUILD"], "--prefix", str(prefix)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    folder = prefix / "lib" / "systemd" / "system"
    if not folder.is_dir():
        pytest.skip("this build installs no units (FM_SYSTEMD_UNITS)")
    return folder


def verify(folder):
    """What systemd says against the units; nothing: nothing."""
    done = subprocess.run([tool("systemd-analyze"), "verify", "--man=no", str(folder / "facemill.service"),
                           str(folder / "facemill.socket")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    said = [line for line in done.stdout.decode().splitlines() if "facemill" in line]
    return said or ([done.stdout.decode()] if done.returncode else [])


def test_units_name_the_installed_files(units):
    text = (units / "facemill.service").read_text()
    program = re.search(r"^ExecStart=(\S+) serve --listen systemd$", text, flags=re.M).group(1)
    assert program == str(units.parents[2] / "bin" / "facemill") and os.access(program, os.X_OK)
    assert "XDG_DATA_HOME=%s\n" % (units.parents[2] / "share") in text and "@" not in re.sub(r"[~=]@[\w-]+", "", text)
    assert verify(units) == []


def test_a_bad_line_in_a_unit_would_be_seen(units, tmp_path):
    shutil.copytree(units, tmp_path / "units")
    with open(tmp_path / "units" / "facemill.service", "a", encoding="utf-8") as file:
        file.write("[Service]\nProtectSistem=strict\n")
    assert any("ProtectSistem" in line for line in verify(tmp_path / "units"))


def drop_ins():
    """[(unit, name, text)] of the guide's blocks that begin with their place."""
    place = r"^```ini\n# /etc/systemd/system/(facemill\.\w+)\.d/([\w-]+\.conf)\n(.*?)^```"
    found = re.findall(place, read("docs", "deploy.md"), flags=re.M | re.S)
    assert len(found) >= 4
    return found


@pytest.mark.parametrize("unit, name, text", drop_ins(), ids=lambda value: value if value.endswith(".conf") else "")
def test_drop_ins_of_the_guide(units, tmp_path, unit, name, text):
    shutil.copytree(units, tmp_path / "units")
    (tmp_path / "units" / (unit + ".d")).mkdir()
    (tmp_path / "units" / (unit + ".d") / name).write_text(text)
    assert verify(tmp_path / "units") == []


def test_the_service_is_locked_in(units):
    """systemd's own judgement, 0 (locked in) to 100; a service without any of it has above 90."""
    command = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", "--threshold=20",
               str(units / "facemill.service")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    if b"unrecognized option" in done.stdout:
        pytest.skip("this systemd-analyze judges no files (systemd before 250)")
    assert done.returncode == 0, done.stdout.decode()[-400:]


# ---------------------------------------------------------------- sockets of the service manager

def test_socket_activation(home, runtime, png_support, make_pack, tmp_path):
    """The first connection starts the worker and is answered by it; the socket's file is not the worker's to remove."""
    path = tmp_path / "facemill.sock"
    program, pack = os.environ["FM_PROGRAM"], make_pack("stock")
    sanitizers = [word for name in os.environ if name.endswith("SAN_OPTIONS") for word in ("-E", name)]
    command = [tool("systemd-socket-activate"), "-l", str(path), "-E", "FM_ORT_LIBRARY=" + runtime,
               "-E", "HOME=%s" % home, *sanitizers,
               program, "serve", "--listen", "systemd", "--threads", "1", "--pack", str(pack)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: path.exists() and stat.S_ISSOCK(path.stat().st_mode), "the socket")
        connection = UnixConnection(str(path))
        type, body = multipart([("file", "squares.png", png(numbered_squares(2)))])
        connection.request("POST", "/detect", body=body, headers={"Content-Type": type})
        answer = connection.getresponse()
        assert answer.status == 200 and len(json.loads(answer.read())["faces"]) == 2
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert path.exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


# ---------------------------------------------------------------- what the manager is told

class Manager:
    """The socket at which a service manager listens."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)
        self.heard = []

    def next(self, but=()):
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            self.heard.append(lines[0])
            if lines[0] not in but:
                return lines


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def test_the_manager_hears_everything(serve, make_pack, manager):
    worker = serve("--pack", make_pack("stock"), NOTIFY_SOCKET=manager.socket.getsockname(), WATCHDOG_USEC="400000")
    assert manager.next() == ["READY=1"]
    assert worker.get("/readyz").code == 200
    assert manager.next() == ["WATCHDOG=1"] and manager.next() == ["WATCHDOG=1"]
    before = time.monotonic()
    worker.signal(signal.SIGHUP)
    said = manager.next(but=["WATCHDOG=1"])
    assert said[0] == "RELOADING=1"
    assert before * 1e6 - 1 <= int(re.fullmatch(r"MONOTONIC_USEC=(\d+)", said[1]).group(1)) <= time.monotonic() * 1e6
    assert manager.next(but=["WATCHDOG=1"]) == ["READY=1"]
    worker.signal(signal.SIGTERM)
    assert manager.next(but=["WATCHDOG=1"]) == ["STOPPING=1"]
    assert worker.process.wait(PATIENCE) == 0


def test_a_swap_is_over_when_the_manager_hears_so(serve, make_pack, manager, tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(make_pack("stock"), pack)
    worker = serve("--pack", pack, NOTIFY_SOCKET=manager.socket.getsockname())
    assert manager.next() == ["READY=1"]
    before = worker.metric("facemill_swaps_total")
    shutil.rmtree(pack)
    shutil.copytree(make_pack("normalised"), pack)
    worker.signal(signal.SIGHUP)
    assert manager.next()[0] == "RELOADING=1" and manager.next() == ["READY=1"]
    assert worker.metric("facemill_swaps_total") == before + 1
    assert manager.heard == ["READY=1", "RELOADING=1", "READY=1"]


def test_a_name_without_a_file_and_a_watchdog_that_is_another_s(serve, make_pack):
    name = "facemill-test-%d" % os.getpid()
    manager = Manager("\0" + name)
    worker = serve("--pack", make_pack("stock"), NOTIFY_SOCKET="@" + name, WATCHDOG_USEC="2000", WATCHDOG_PID="1")
    assert manager.next() == ["READY=1"]
    for _ in range(3):  # the main thread goes round at least so often
        worker.signal(signal.SIGHUP)
        assert manager.next()[0] == "RELOADING=1" and manager.next() == ["READY=1"]
    worker.signal(signal.SIGTERM)
    assert manager.next() == ["STOPPING=1"]
    assert worker.process.wait(PATIENCE) == 0
    assert "WATCHDOG=1" not in manager.heard
    manager.socket.close()


def test_no_manager_and_one_that_is_gone(serve, make_pack, tmp_path):
    """Nobody there is no failure."""
    worker = serve("--pack", make_pack("stock"), NOTIFY_SOCKET=str(tmp_path / "nobody"), WATCHDOG_USEC="2000")
    assert worker.get("/healthz").code == 200
    assert worker.close() == 0


# ---------------------------------------------------------------- proxies and monitoring, as the guide has them

def block_after(words):
    """The guide's ```text block that follows a line beginning with these words."""
    place = r"^%s.*?^```text\n(.*?)^```" % re.escape(words)
    return re.search(place, read("docs", "deploy.md"), flags=re.M | re.S).group(1)


def replaced(text, *pairs):
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, str(new))
    return text


def run_proxy(command, socket_path, worker, environment=None):
    """Start a proxy in front of a worker and ask it what the guide wants of it."""
    credentials = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}  # alice:secret
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=environment)

    def ask(method, path, headers, body=None):
        connection = UnixConnection(str(socket_path))
        try:
            connection.request(method, path, body=body, headers=dict(headers, Host="faces.example"))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    try:
        wait_for(lambda: socket_path.exists() or process.poll() is not None, "the proxy's socket")
        assert process.poll() is None, process.stderr.read().decode()[-1000:]
        type, body = multipart([("file", "squares.png", png(numbered_squares(2)))])
        picture = {"Content-Type": type}
        assert ask("POST", "/detect", picture, body)[0] == 401
        status, headers, answer = ask("POST", "/detect", dict(picture, **credentials), body)
        assert status == 200 and len(json.loads(answer)["faces"]) == 2
        assert any(name.lower() == "x-request-id" for name in headers)
        before = worker.metric("facemill_images_total")
        for path in ("/metrics", "/readyz", "/extract", "/"):
            assert ask("GET", path, credentials)[0] == 404, path
        assert worker.metric("facemill_images_total") == before
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stderr.close()


@pytest.fixture
def behind(home, runtime, png_support, make_pack, tmp_path):
    """A worker at a Unix socket, for a proxy."""
    worker = Worker(home, runtime, "--pack", make_pack("stock"), listen="unix:%s" % (tmp_path / "facemill.sock"))
    yield worker, tmp_path / "facemill.sock"
    worker.close()


def test_nginx(behind, tmp_path):
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(program, os.X_OK):
        pytest.skip("no nginx here (Debian: nginx-light)")
    worker, socket_path = behind
    server = replaced(block_after("nginx ("), ("/run/facemill/facemill.sock", socket_path),
                      ("listen 443 ssl http2;", "listen unix:%s;" % (tmp_path / "proxy.sock")),
                      ("/etc/nginx/facemill.users", tmp_path / "users"))
    server = re.sub(r"^ *ssl_certificate.*\n", "", server, flags=re.M)
    (tmp_path / "users").write_text("alice:{PLAIN}secret\n")
    paths = "".join("%s_temp_path %s;\n" % (name, tmp_path / name) for name in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text("daemon off;\nmaster_process off;\npid %s;\nerror_log stderr;\nevents {}\n"
                                         "http {\naccess_log off;\n%s%s}\n" % (tmp_path / "pid", paths, server))
    run_proxy([program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], tmp_path / "proxy.sock", worker)


def test_caddy(behind, tmp_path):
    program = shutil.which("caddy")
    if not program:
        pytest.skip("no caddy here (Debian: caddy)")
    worker, socket_path = behind
    hashed = subprocess.run([program, "hash-password", "--plaintext", "secret"], stdout=subprocess.PIPE,
                            timeout=PATIENCE, check=True).stdout.decode().strip()
    site = replaced(block_after("Caddy ("), ("HASH", hashed), ("/run/facemill/facemill.sock", socket_path),
                    ("faces.example {\n", "http://faces.example {\n    bind unix/%s\n" % (tmp_path / "proxy.sock")))
    (tmp_path / "Caddyfile").write_text("{\n    admin off\n}\n" + site)
    command = [program, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"]
    run_proxy(command, tmp_path / "proxy.sock", worker, dict(os.environ, HOME=str(tmp_path)))


def test_prometheus_reads_the_examples(tmp_path):
    program = shutil.which("promtool")
    if not program:
        pytest.skip("no promtool here (Debian: prometheus)")
    (tmp_path / "token").write_text("secret")
    (tmp_path / "rules.yml").write_text(block_after("Alerts to begin with"))
    (tmp_path / "prometheus.yml").write_text(replaced(block_after("Prometheus scrapes"),
                                                      ("/etc/prometheus/facemill.token", tmp_path / "token")))
    for kind, file in (("rules", "rules.yml"), ("config", "prometheus.yml")):
        done = subprocess.run([program, "check", kind, str(tmp_path / file)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout.decode()


def test_every_metric_of_the_guide_is_one(worker):
    """A name with _bucket and the like, as it stands in an expression, begins a line of /metrics."""
    text = re.sub(r"^```sh.*?^```", "", read("docs", "deploy.md"), flags=re.M | re.S)
    found = set(re.findall(r"facemill_[a-z_]+", text))
    lines = worker.get("/metrics").text.splitlines()
    assert len(found) >= 8
    for name in found:
        family = re.sub("_(bucket|sum|count)$", "", name)
        beginnings = (name + " ", name + "{", "# TYPE %s " % name, "# TYPE %s histogram" % family)
        assert any(line.startswith(beginnings) for line in lines), name


# ---------------------------------------------------------------- containers

def test_dockerfile_steps_are_the_documents_own():
    stages, install = docker_steps.read_stages(), read("docs", "install.md")
    steps = [words for stage in stages.values() for words in stage.all("RUN")]
    assert len(steps) >= 6
    for step in steps:
        for script in re.findall(r"\bsh (\S+\.sh)", step):
            assert os.path.isfile(os.path.join(ROOT, script.replace("/tmp/facemill/", ""))), script
        if step.startswith("cmake "):
            assert step.replace(" --strip", "") in install, "docs/install.md does not say: " + step
        else:
            known = ("sh scripts/setup.sh", "sh /tmp/facemill/scripts/setup.sh --run", "ldconfig",
                     'python3 -m pip install --no-cache-dir --target /opt/ort-gpu "$ORT_GPU"', "ln -s ", "find ")
            assert step.startswith(known), "a step that no document has: " + step
    wheel = re.search(r"^ARG ORT_GPU=(\S+)==([\d.]+)$", read("packaging", "docker", "Dockerfile"), flags=re.M)
    assert wheel.group(1) in install and "onnxruntime==%s " % wheel.group(2) in read("packaging", "onnxruntime.txt")


def test_dockerfile_copies_what_is_there():
    for stage in docker_steps.read_stages().values():
        for words in stage.all("COPY"):
            for path in words.split()[:-1] if not words.startswith("--from=") else []:
                assert os.path.exists(os.path.join(ROOT, path)), path
    kept_out = read("packaging", "docker", "Dockerfile.dockerignore").split()
    assert ".git" in kept_out and not {"docs", "lib", "packaging", "packs", "scripts"} & set(kept_out)


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_container(target):
    stages = docker_steps.read_stages()
    assert list(stages)[-1] == "cpu"  # built when no target is named
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", docker_steps.last(stages, target, "USER"))
    assert docker_steps.last(stages, target, "EXPOSE") == "8001"
    assert docker_steps.last(stages, target, "ENTRYPOINT") == '["facemill"]'
    assert docker_steps.last(stages, target, "CMD") == '["serve", "--listen", "0.0.0.0:8001"]'
    health = docker_steps.health_command(stages, target)
    assert health[-1] == "http://127.0.0.1:8001/healthz"
    packages = re.search(r'^run_packages="([^"]*)"', read("scripts", "setup.sh"), flags=re.M).group(1).split()
    assert health[0] in packages
    assert "build" in docker_steps.copied_from(stages, target)
    assert ("gpu" in docker_steps.copied_from(stages, target)) == (target == "cuda")


def test_the_containers_packages_are_those_that_the_program_links_or_loads():
    """Each -dev package of the build has its library among the packages of --run."""
    setup = read("scripts", "setup.sh")
    build = re.search(r'^build_packages="([^"]*)"', setup, flags=re.M).group(1).split()
    run = re.search(r'^run_packages="([^"]*)"', setup, flags=re.M).group(1).split()
    for package in build:
        name = re.fullmatch(r"(lib\w+?)(?:4-openssl|62-turbo)?-dev|(libprotobuf-c)-dev", package)
        if name and package != "libc6-dev":
            stem = name.group(1) or name.group(2)
            assert any(one.startswith(stem) for one in run), package


def test_listening_everywhere_without_a_token_is_said(home, runtime, png_support, make_pack):
    worker = Worker(home, runtime, "--pack", make_pack("stock"), listen="0.0.0.0:0")
    try:
        worker.said("it listens on more than loopback without a token")
    finally:
        assert worker.close() == 0


def test_compose_file():
    yaml = pytest.importorskip("yaml", reason="no python3-yaml here, which reads the compose file")
    document = yaml.safe_load(read("packaging", "docker", "compose.yaml"))
    service, folder = document["services"]["facemill"], os.path.dirname(COMPOSE)
    context = os.path.normpath(os.path.join(folder, service["build"]["context"]))
    assert context == ROOT and os.path.isfile(os.path.join(context, service["build"]["dockerfile"]))
    assert set(service["secrets"]) == set(document["secrets"])
    assert service["environment"]["FM_TOKEN_FILE"] == "/run/secrets/" + service["secrets"][0]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    assert [mount.split(":")[0] for mount in service["volumes"]] == list(document["volumes"])
    help = subprocess.run([os.environ["FM_PROGRAM"], "serve", "--help"], stdout=subprocess.PIPE, timeout=PATIENCE)
    for name in service["environment"]:
        assert "--" + name[3:].lower().replace("_", "-") + " " in help.stdout.decode(), name
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])  # open to others only when somebody says so
