"""The option table from outside: spellings, refusals, help, what the engine does with values. Precedence: test_cli_precedence.py."""

import json
import os
import re
import shlex

import pytest

from test_cli_precedence import COMMANDS, printed, samples

# What others build on is spelled exactly so.
PROMISED = """pack provider policy provider-option ort-library device gpu-mem-limit precision threads batch det-size det-threshold
max-faces face-metric min-face format embedding output summary draw from-file recursive quiet log-level config""".split()
ALIASES = {"min-confidence": "det-threshold", "min-face-size": "min-face", "batch-size": "batch"}


def test_every_promised_option_is_there(facemill):
    rows = printed(facemill("analyze", "--print-config"))
    assert not [name for name in PROMISED if name not in rows]
    for alias, name in ALIASES.items():
        value = samples(rows[name])[0]
        assert rows[name]["alias"] == alias
        assert printed(facemill("analyze", "--" + alias, value, "--print-config"))[name]["value"] == value
        variable = "FM_" + alias.upper().replace("-", "_")
        assert printed(facemill("analyze", "--print-config", **{variable: value}))[name]["value"] == value


def test_spellings(facemill):
    for arguments in (["--threads", "3"], ["--threads=3"]):
        assert printed(facemill("analyze", "--print-config", *arguments))["threads"]["value"] == "3"
    ran = facemill("analyze", "--print-config", "--recursive", "--no-recursive", "--", "--threads", "-")
    assert printed(ran)["recursive"]["value"] == "no"
    assert json.loads(ran.out)["arguments"] == ["--threads", "-"]
    ran = facemill("analyze", "--print-config", "--provider-option", "a:b=1", "--provider-option", "ort:cuda:c=d=e")
    assert printed(ran)["provider-option"]["value"] == ["a:b=1", "ort:cuda:c=d=e"]
    ran = facemill("analyze", "--print-config", FM_PROVIDER_OPTION="a:b=1;c:d=2")
    assert printed(ran)["provider-option"]["value"] == ["a:b=1", "c:d=2"]


@pytest.mark.parametrize("arguments, words", [
    (["--treads", "2"], ["--treads", "--threads"]),
    (["--threads", "two"], ["--threads", "'two'", "1 to 1024"]),
    (["--threads=0"], ["--threads", "'0'"]),
    (["--batch=257"], ["--batch", "'257'", "1 to 256"]),
    (["--cpu-mask", "sse"], ["--cpu-mask", "'sse'", "scalar|avx2"]),
    (["--det-threshold", "nan"], ["--det-threshold", "'nan'", "0.001 to 1"]),
    (["--det-size", "100"], ["--det-size", "'100'", "multiples of 32"]),
    (["--det-size", "64,128,192,256,320"], ["--det-size", "1 to 4"]),
    (["--gpu-mem-limit", "2X"], ["--gpu-mem-limit", "'2X'", "2G"]),
    (["--gpu-mem-limit", "99999999999G"], ["--gpu-mem-limit"]),
    (["--provider-option", "cuda"], ["--provider-option", "PROVIDER:KEY=VALUE"]),
    (["--face-metric", "size"], ["--face-metric", "area|centre"]),
    (["--format", "table|jsonl"], ["--format", "table|jsonl"]),
    (["--pack="], ["--pack"]),
    (["--recursive=maybe"], ["--recursive", "yes or no"]),
    (["--no-recursive=yes"], ["no-recursive"]),
    (["--no-threads"], ["--no-threads"]),
    (["--threads"], ["--threads", "needs a value"]),
    (["--threshold", "1"], ["--threshold", "not an option of 'facemill analyze'"]),
    (["-x"], ["-x"]),
])
def test_refusals_name_option_value_and_expectation(facemill, arguments, words):
    ran = facemill("analyze", *arguments, code=2)
    assert ran.out == "" and not [word for word in words if word not in ran.err], ran.err


def test_bad_variable_names_itself_and_other_commands_ignore_it(facemill):
    assert "FM_THREADS: 'x'" in facemill("analyze", "a.png", code=2, FM_THREADS="x").err
    facemill("version", FM_THREADS="x")
    facemill("analyze", "--print-config", "--threads", "1", FM_THREADS="x")


@pytest.mark.parametrize("text, words", [
    ("threads = 2\ntreads = 2\n", [":2:", "'treads'", "'threads'"]),
    ("\n# x\ndet-size = 7\n", [":3:", "det-size", "'7'"]),
    ("threads\n", [":1:", "key = value"]),
    ("config = other\n", [":1:", "'config'"]),
    ("threads =\n", [":1:", "threads"]),
    ("threads = 2\nbatch = 3\0\nqueue-depth = 4\n", [":2:", "zero byte"]),
    ("threads = 2\n\0", [":2:", "zero byte"]),
])
def test_config_file_mistakes_name_file_and_line(facemill, tmp_path, text, words):
    config = tmp_path / "my.conf"
    config.write_text(text)
    ran = facemill("version", "--config", config, code=2)  # every key is checked, whatever the command
    assert not [word for word in words + [str(config)] if word not in ran.err], ran.err


def test_where_the_config_file_is_found(facemill, tmp_path):
    default = facemill.home / ".config" / "facemill" / "config"
    default.parent.mkdir(parents=True)
    default.write_text("threads = 5\r\nmin-face-size=9")
    rows = printed(facemill("analyze", "--print-config"))
    assert rows["threads"]["value"] == "5" and rows["min-face"]["value"] == "9"
    other = tmp_path / "other"
    other.write_text("threads = 6\n")
    assert printed(facemill("analyze", "--print-config", FM_CONFIG=other))["threads"]["value"] == "6"
    ran = facemill("analyze", "--print-config", "--config", other, FM_CONFIG="/nowhere")
    assert json.loads(ran.out)["config_file"] == str(other)
    assert "/nowhere" in facemill("analyze", "--print-config", code=2, FM_CONFIG="/nowhere").err


def test_help_is_complete(facemill):
    general = facemill("--help").out
    for command in COMMANDS:
        assert "\n  %s " % command in general
        ran = facemill(command, "--help", FM_THREADS="bad")
        rows = printed(facemill(command, "--print-config"))
        shown = {line.split()[0][2:] for line in ran.out.splitlines() if line.startswith("  --")}
        assert shown == set(rows) | {"help"}, command
        assert "Examples:\n  " in ran.out and max(map(len, ran.out.splitlines())) <= 120
        assert not [line for line in ran.out.splitlines() if line != line.rstrip()]
        for example in ran.out.partition("Examples:\n")[2].partition("\n\n")[0].splitlines():
            words = shlex.split(re.split(r" [<>|] ", example[example.index("facemill "):])[0])
            assert words[1] == command, example
            facemill(*words[1:], "--print-config")  # every option in it is one, with a value that it takes
    for number in range(6):
        assert "\n  %d  " % number in general
    for words in ("FM_DET_SIZE", "FM_PACK", "~/.insightface only when named", "det-size = 640"):
        assert words in general


def test_commands_and_usage(facemill):
    assert "'analyze'" in facemill("analyse", code=2).err
    assert "Usage" in facemill(code=2).err
    for command in ("analyze", "detect", "crop", "compare", "models", "validate"):
        ran = facemill(command, code=2)
        assert "facemill %s --help" % command in ran.err and ran.out == ""
    for command in ("providers", "doctor", "version"):
        facemill(command, "superfluous", code=2)
    facemill("crop", "a.png", code=2)
    assert "112 or 128" in facemill("crop", "a.png", "--dir", "x", "--size", "113", code=2).err
    facemill("validate", "a", "b", code=2)
    facemill("analyze", "-", "--from-file", "-", code=2)


def test_help_to_a_full_disk_fails(facemill):
    import subprocess
    with open("/dev/full", "w") as full:
        assert subprocess.run([facemill.program, "analyze", "--help"], stdout=full, stderr=subprocess.DEVNULL).returncode == 5


# ---------------------------------------------------------------- what the engine's options do

def models_of(working, tmp_path, picture, *arguments):
    working("analyze", picture, "--summary", tmp_path / "s.json", *arguments)
    return json.loads((tmp_path / "s.json").read_text())["models"]


def test_threads_and_batch_are_the_lanes_and_their_batch(working, folder, tmp_path, make_pack):
    for threads, batch in ((1, 1), (3, 4), (2, 256)):
        models = models_of(working, tmp_path, folder / "a.png", "--pack", make_pack("batched"), "--provider", "ort:cpu",
                           "--threads", threads, "--batch", batch)
        assert [(model["lanes"], model["max_batch"]) for model in models] == [(threads, batch)] * 2


def test_cpu_mask_limits_the_kernels(working, folder):
    def kernels(*arguments):
        return [row["detail"] for row in working("doctor", *arguments).records if row["name"] == "kernels"][0].split(", ")

    best = kernels()[0]
    assert kernels("--cpu-mask", "scalar")[0] == "scalar" and kernels("--cpu-mask", best)[0] == best
    masked = working("analyze", folder / "c.png", "--cpu-mask", "scalar")
    assert [face["box"] for face in masked.records[0]["faces"]] == \
        [face["box"] for face in working("analyze", folder / "c.png").records[0]["faces"]]
    if best == "scalar":
        pytest.skip("this processor has nothing that could be masked")


def test_precision_that_a_provider_cannot_do_is_3(working, folder):
    for precision in ("fp16", "bf16", "int8"):
        ran = working("detect", folder / "a.png", "--provider", "ort:cpu", "--precision", precision, code=3)
        assert "ort:cpu" in ran.err and precision in ran.err and ran.out == ""
    working("detect", folder / "a.png", "--provider", "ort:cpu", "--precision", "fp32")


def test_a_device_that_is_not_there_is_3(working, folder):
    """No silent step down to the processor."""
    ran = working("detect", folder / "a.png", "--device", 7, code=None)
    if ran.code == 0:
        used = json.loads(working("models", "verify", "--device", 7).out.splitlines()[-1])["providers"]
        assert not [name for name in used.values() if name in ("ort:cpu", "native")], used
        pytest.skip("this machine has eight accelerators")
    assert ran.code == 3 and ran.out == ""
    working("detect", folder / "a.png", "--device", "cpu")


def test_provider_options_are_for_providers_that_exist(working, folder):
    ran = working("detect", folder / "a.png", "--provider-option", "ort:nope:foo=bar", code=2)
    assert "ort:nope" in ran.err and ran.out == ""


def told(working, folder, tmp_path, *arguments):
    """What a runtime with CUDA was told of its options: a fake one, which runs nothing."""
    fake = os.environ.get("FM_FAKE_RUNTIME")
    if not fake:
        pytest.skip("no fake runtime named by FM_FAKE_RUNTIME")
    record = tmp_path / "record"
    record.write_text("")
    ran = working("detect", folder / "a.png", "--ort-library", fake, "--provider", "ort:cuda", *arguments, code=3,
                  FAKE_RECORD=record)
    assert "the fake runs no real model" in ran.err, ran.err
    lines = [line for line in record.read_text().splitlines() if line.startswith("cuda:")]
    return dict(word.split("=", 1) for word in lines[0].split()[1:])


def test_what_a_cuda_runtime_is_told(working, folder, tmp_path):
    plain = told(working, folder, tmp_path)
    assert (plain["device_id"], plain["gpu_mem_limit"]) == ("0", str(2 << 30)) and "foo" not in plain
    chosen = told(working, folder, tmp_path, "--gpu-mem-limit", "123M", "--device", 2, "--provider-option", "ort:cuda:foo=a=b",
                  "--provider-option", "ort:cuda:cudnn_conv_algo_search=HEURISTIC", "--provider-option", "ort:tensorrt:bar=1")
    assert (chosen["device_id"], chosen["gpu_mem_limit"], chosen["foo"]) == ("2", str(123 << 20), "a=b")
    assert chosen["cudnn_conv_algo_search"] == "HEURISTIC" and "bar" not in chosen
