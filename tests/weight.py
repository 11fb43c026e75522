"""What a feature costs: the crates that it brings, and the seconds that they take to build.

`weight.py check` holds the bars and the numbers of crates in docs/costs.md. `weight.py write` measures the seconds
too, which takes minutes, and writes the table anew.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

PAGE = Path("docs/costs.md")
BEGIN, END = "<!-- weight -->", "<!-- /weight -->"
LAYERS = ["breaker", "retry", "timing", "dead-letters"]
# At most: crates of a single layer, and crates of the default features beyond those of an axum service.
LAYER, DEFAULT = 25, 40

# What most axum services have anyway: `cargo new`, and the two dependencies of axum's first example.
AXUM = """
[package]
name = "bare"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
axum = "0.8"
tokio = { version = "1", features = ["full"] }
"""


def crates(*arguments, folder="."):
    tree = ["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", *arguments]
    lines = subprocess.check_output(tree, text=True, cwd=folder).splitlines()
    return {" ".join(line.split(" ")[:2]) for line in lines if line}


def of(features):
    chosen = ["--features", ",".join(features)] if features else []
    found = crates("--locked", "--no-default-features", *chosen)
    return {crate for crate in found if not crate.startswith("campanile ")}


def of_axum():
    folder = Path("target/weight/axum")
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(AXUM)
    (folder / "src/main.rs").write_text("fn main() {}\n")
    # The same versions as here.
    shutil.copy("Cargo.lock", folder / "Cargo.lock")
    return {crate for crate in crates(folder=folder) if not crate.startswith("bare ")}


def seconds(features):
    """How long a clean build of the library takes, without optimization."""
    target = Path("target/weight/build")
    shutil.rmtree(target, ignore_errors=True)
    build = ["cargo", "build", "--quiet", "--locked", "--lib", "--no-default-features", "--target-dir", str(target)]
    began = time.monotonic()
    subprocess.check_call([*build, "--features", ",".join(features)])
    took = time.monotonic() - began
    shutil.rmtree(target, ignore_errors=True)
    return took


def sets():
    metadata = subprocess.check_output(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"])
    features = json.loads(metadata)["packages"][0]["features"]
    alone = {f"`{name}`": [name] for name in sorted(features) if name not in ("default", "full")}
    return {"none": [], **alone, "the default ones": ["default"], "`full`": ["full"]}


def row(name, own, axum, took):
    return f"| {name} | {len(own)} | {len(own - axum)} | {took} |"


def faults(axum):
    for layer in LAYERS:
        count = len(of([layer])) + 1
        if count > LAYER:
            yield f"the feature `{layer}` takes {count} crates with campanile itself; at most {LAYER} are allowed"
    count = len(of(["default"]) - axum)
    if count > DEFAULT:
        yield f"the default features take {count} crates beyond those of axum; at most {DEFAULT} are allowed"


def main():
    axum = of_axum()
    found = list(faults(axum))
    head, rest = PAGE.read_text().split(BEGIN)
    table, tail = rest.split(END)
    if sys.argv[1:] == ["write"]:
        lines = ["| features | crates | beyond those of an axum service | seconds |", "|---|---:|---:|---:|"]
        for name, features in sets().items():
            lines.append(row(name, of(features), axum, round(seconds(features))))
            print(lines[-1], flush=True)
        PAGE.write_text(head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + tail)
    else:
        for name, features in sets().items():
            expected = row(name, of(features), axum, "")[:-2]
            if not re.search("^" + re.escape(expected), table, re.M):
                found.append(f"{PAGE}: the row of {name} is not `{expected.strip()} …`: run tests/weight.py write")
        print(f"an axum service has {len(axum)} crates; the default features add {len(of(['default']) - axum)}")
    if found:
        sys.exit("\n".join(found))


main()
