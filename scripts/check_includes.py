#!/usr/bin/env python3
"""Hold the walls of the project: who may include whom, and the style rules that a script can check.

    check_includes.py [ROOT [FILE...]]

Looks at every C file below ROOT (or at the FILEs, named from ROOT) and prints one line per violation, "file:line: what; what to do". Exit 0: none, 4: some, 2: ROOT is not this project.
The include table and the foreign headers are the constants below; a new folder, dependency or exception is a row
there, with its reason in CONTRIBUTING.md.
"""
import pathlib
import re
import sys

# Folder: our folders whose headers it may include, besides its own and the public headers. ARCHITECTURE.md draws it.
BASE = {"lib/base"}
KERNELS = BASE | {"lib/kernels"}
DEVICE = KERNELS | {"lib/device"}
MODELS = DEVICE | {"lib/onnx"}
TABLE = {
    "include/facemill": set(),
    "lib/base": set(),
    "lib/kernels": BASE,
    "lib/onnx": BASE,
    "lib/device": KERNELS,
    "lib/image": DEVICE,
    "lib/models": MODELS,
    "lib/providers": MODELS,
    "lib/engine": MODELS | {"lib/image", "lib/models", "lib/providers"},
    "service": BASE,
    "apps": BASE | {"service"},
}

# Foreign header, or the beginning of its path: the one folder that may include it (or those, with spaces between). A
# foreign error code becomes an fm_status there and its types do not travel.
FOREIGN = {
    "jpeglib.h": "lib/image",
    "jerror.h": "lib/image",
    "spng.h": "lib/image",
    "webp/": "lib/image",
    "libheif/": "lib/image",
    "protobuf-c/": "lib/onnx",
    "jansson.h": "lib/base",
    "zip.h": "service/packs",
    "curl/": "service/packs service/client service/http",
    "microhttpd.h": "service/http",
    "onnx.pb-c.h": "lib/onnx",  # generated from the schema; it includes protobuf-c
}
# The compiler's own headers for one family of CPUs: where the siblings of reference functions live.
INTRINSICS = {"immintrin.h", "arm_neon.h", "cpuid.h"}
INTRINSIC_FOLDERS = {"lib/base", "lib/kernels"}
STANDARD = set(
    "assert ctype errno float inttypes iso646 limits locale math setjmp stdalign stdarg stdatomic stdbool stddef "
    "stdint stdio stdlib stdnoreturn string strings time uchar wchar wctype".split())
OS_FILES = re.compile(r"lib/base/os_[a-z0-9_]+\.c$")

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80
MAX_COLUMNS = 120
# Word: files where it may stand, and what to do elsewhere.
ALLOCATION = (re.compile(r"lib/base/(memory|os_[a-z0-9_]+)\.c$"), "allocate through base/memory.h, where a test counts")
BOUNDED = (None, "use a function that knows the size of its output")
WORDS = {
    **dict.fromkeys("malloc calloc realloc aligned_alloc posix_memalign free strdup strndup".split(), ALLOCATION),
    **dict.fromkeys("alloca gets sprintf stpcpy strcat strcpy vsprintf".split(), BOUNDED),
    "strtok": (None, "it keeps state between calls: use strtok_r or strcspn"),
    "system": (None, "call the operating system in lib/base/os_*.c, without a shell"),
}
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK|WIP)\b")
# Files that may keep changing state for the whole process.
PROCESS_STATE = {
    "lib/providers/ort/library.c",  # one reference-counted runtime per process
}


class Source:
    """One file: its lines, and the same text with comments, literals and preprocessor lines blanked."""

    LEXEMES = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
    DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)

    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        self.uncommented = self.LEXEMES.sub(self._blank_comment, self.text)
        literals = self.LEXEMES.sub(self._blank_literal, self.uncommented)
        self.code = self.DIRECTIVE.sub(lambda match: self._spaces(match.group()), literals)

    @staticmethod
    def _spaces(text):
        return re.sub(r"[^\n]", " ", text)

    def _blank_comment(self, match):
        return self._spaces(match.group()) if match.group()[0] == "/" else match.group()

    def _blank_literal(self, match):
        quote = match.group()[0]
        return quote + self._spaces(match.group()[1:-1]) + quote

    def line_at(self, offset):
        return self.code.count("\n", 0, offset) + 1


def folder_of(name):
    """The row of TABLE that a path belongs to, or None."""
    parts = name.split("/")
    row = parts[0] if parts[0] in TABLE else "/".join(parts[:2])
    return row if row in TABLE else None


def find_included(root, source, target):
    """Path below `root` of a header of ours, or None."""
    places = [root / "lib", root / "service", root / "include"]
    if not source.name.startswith(("lib/", "include/")):
        places.append((root / source.name).parent)
    for place in places:
        if (place / target).is_file():
            return (place / target).relative_to(root).as_posix()
    return None


def check_ours(folder, source, found, target):
    if source.name == "lib/base/os_posix.h" or found == "lib/base/os_posix.h":
        if not OS_FILES.match(source.name):
            return f"'{target}' is private to lib/base/os_*.c; include \"base/os.h\""
    other = folder_of(found)
    allowed = TABLE[folder] | {folder, "include/facemill"}
    if folder == "include/facemill":
        allowed = {folder}
    if other in allowed:
        return None
    names = ", ".join(sorted(TABLE[folder])) or "nothing of ours"
    return (f"{folder} must not include {other} ('{target}'); it may include {names} and the public header: "
            "pass what is needed through an argument, or move the code up")


def check_foreign(folder, source, target):
    if target[:-2] in STANDARD and target.endswith(".h"):
        return None
    for beginning, home in FOREIGN.items():
        if target == beginning or (beginning.endswith("/") and target.startswith(beginning)):
            homes = home.split()
            return None if folder in homes or source.name.startswith(tuple(one + "/" for one in homes)) else (
                f"<{target}> may be included from {' and '.join(homes)} only; call what that folder offers instead")
    if target in INTRINSICS:
        return None if folder in INTRINSIC_FOLDERS else (
            f"<{target}> may be included from {' and '.join(sorted(INTRINSIC_FOLDERS))} only; add a kernel")
    if OS_FILES.match(source.name):
        return None
    return (f"<{target}> is neither standard C nor a header of a row in FOREIGN (scripts/check_includes.py); what "
            "belongs to the operating system goes to lib/base/os_*.c behind base/os.h")


def check_includes(root, source):
    folder = folder_of(source.name)
    if folder is None:
        yield 1, "the folder is not in the include table; add a row to scripts/check_includes.py and ARCHITECTURE.md"
        return
    for number, line in enumerate(source.uncommented.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        target = match.group(2)
        if ".." in target.split("/"):
            yield number, f"'{target}' climbs out of its folder; write \"folder/file.h\""
            continue
        found = find_included(root, source, target)
        words = check_ours(folder, source, found, target) if found else check_foreign(folder, source, target)
        if words and not found and match.group(1) == '"' and target not in FOREIGN:
            words = f"there is no header '{target}' to be found; write \"folder/file.h\" as seen from lib/ or service/"
        if words:
            yield number, words


def top_level(source):
    """(start, end, head, is_block) of every declaration and definition at file level, in order."""
    code = re.sub(r'extern\s+" "\s*\{', lambda match: re.sub(r"\S", " ", match.group()), source.code)
    start, depth, head_end = 0, 0, 0
    for match in re.finditer(r"[{};]", code):
        at = match.start()
        if match.group() == "{":
            if depth == 0:
                head_end = at
            depth += 1
        elif match.group() == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and is_function(code[start:head_end]):
                yield start, at, code[start:head_end], True
                start = head_end = at + 1
        elif depth == 0:
            head = code[start:head_end] if head_end > start else code[start:at]
            yield start, at, head, False
            start = head_end = at + 1


NOT_NAMES = {"__attribute__", "_Alignas", "_Static_assert", "__extension__", "defined", "alignas"}


def function_name(head):
    for match in re.finditer(r"\b([A-Za-z_]\w*)\s*\(", head):
        if match.group(1) not in NOT_NAMES:
            return match.group(1)
    return None


def is_function(head):
    return "=" not in head and head.rstrip().endswith(")") and function_name(head) is not None


def check_functions(source, must_have_prefix):
    for start, end, head, is_block in top_level(source):
        if not is_block:
            continue
        name = function_name(head)
        first = source.line_at(start + len(head) - len(head.lstrip()))
        length = source.line_at(end) - first + 1
        if length > MAX_FUNCTION_LINES:
            yield first, f"{name}() has {length} lines, more than {MAX_FUNCTION_LINES}; split it by its verbs"
        if must_have_prefix and not name.startswith("fm_") and name != "main" and not re.search(r"\bstatic\b", head):
            yield first, f"{name}() is visible to the linker without 'fm_'; make it static or rename it"


def check_state(source):
    if source.name in PROCESS_STATE:
        return
    for match in re.finditer(r"^([ \t]*)(static\b[^;={}()]*)[;=]", source.code, re.MULTILINE):
        if not re.search(r"\bconst\b", match.group(2)):
            yield source.line_at(match.start(2)), (
                "changing state for the whole process; make it const, or keep it in a struct that its user owns")
    for start, _, head, is_block in top_level(source):
        words = head.split("=")[0]
        if is_block or "(" in words or not re.search(r"[\w\]]\s*$", words):
            continue
        if re.match(r"\s*(?:__extension__\s+)?(static|extern|typedef|struct\s+\w+\s*$|union\s+\w+\s*$|enum\b)", words):
            continue
        if re.match(r"\s*\w+_function\s", words):  # functions, declared by their common type
            continue
        name = re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*$", words)
        first = source.line_at(start + len(head) - len(head.lstrip()))
        if not re.search(r"\bconst\b", words):
            yield first, f"'{name.group(1)}' is a global variable; keep it in a struct that its user owns"
        elif not name.group(1).startswith("fm_"):
            yield first, f"'{name.group(1)}' is visible to the linker without 'fm_'; make it static or rename it"


def check_words(source):
    for match in re.finditer(r"\b([a-z_]+)\s*\(", source.code):
        where, remedy = WORDS.get(match.group(1), (None, None))
        if remedy and not (where and where.match(source.name)):
            before = source.code[:match.start()].rstrip()
            if not before.endswith((".", "->")):  # a member of that name is somebody else's function
                yield source.line_at(match.start()), f"{match.group(1)}() is not used here; {remedy}"


def check_lines(source):
    if len(source.lines) - 1 > MAX_FILE_LINES:
        yield MAX_FILE_LINES + 1, f"more than {MAX_FILE_LINES} lines; a file is one noun: split it"
    for number, line in enumerate(source.lines, 1):
        if "\t" in line:
            yield number, "a tab; indent by 4 spaces"
        if len(line) > MAX_COLUMNS:
            yield number, f"{len(line)} columns, more than {MAX_COLUMNS}; break the line"
        if MARKS.search(line):
            yield number, f"'{MARKS.search(line).group()}' is a note to self; do it or write it into an issue"


def check_file(root, source):
    product = not source.name.startswith(("tests/", "bench/"))  # those see everything
    if product:
        yield from check_includes(root, source)
        yield from check_state(source)
        yield from check_words(source)
    yield from check_functions(source, must_have_prefix=product)
    yield from check_lines(source)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    if not (root / "include/facemill/facemill.h").is_file():
        print(f"check_includes: '{root}' has no include/facemill/facemill.h; name the project's folder",
              file=sys.stderr)
        return 2
    paths = [root / name for name in sys.argv[2:]] or sorted(
        path for folder in ("include", "lib", "service", "apps", "tests", "bench")
        for path in (root / folder).rglob("*.[ch]"))
    violations = 0
    for path in paths:
        source = Source(root, path)
        for number, words in sorted(check_file(root, source)):
            print(f"{source.name}:{number}: {words}")
            violations += 1
    print(f"check_includes: {len(paths)} files, {violations or 'no'} violation{'s' if violations != 1 else ''}",
          file=sys.stderr)
    return 4 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
