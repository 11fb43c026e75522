"""Prints the sets of features that are checked apart, one a line: none, each alone, and those that touch.

Features touch where code is compiled only if several of them are on: a condition that names them together, or a
condition in a module that has one of its own. Sets that switch the same features on are printed once. The default
features and all of them are for the caller.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SKIPPED = {"default", "full"}


def implied(features, names):
    """Every feature that is on when `names` are."""
    found, open_ = set(), list(names)
    while open_:
        name = open_.pop()
        if name in found or name not in features:
            continue
        found.add(name)
        open_.extend(features[name])
    return frozenset(found)


def alternatives(condition):
    """The sets of features that a condition is true with, as far as it asks for features to be on."""
    tokens = re.findall(r'feature\s*=\s*"[^"]+"|\w+\s*=\s*"[^"]*"|\w+|[(),]', condition)

    def parse(at):
        token = tokens[at]
        if token in ("all", "any", "not") and tokens[at + 1] == "(":
            parts, at_ = [], at + 2
            while tokens[at_] != ")":
                if tokens[at_] == ",":
                    at_ += 1
                    continue
                part, at_ = parse(at_)
                parts.append(part)
            if token == "not":
                return [frozenset()], at_ + 1
            if token == "any":
                return [one for part in parts for one in part], at_ + 1
            whole = [frozenset()]
            for part in parts:
                whole = [one | other for one in whole for other in part]
            return whole, at_ + 1
        name = re.fullmatch(r'feature\s*=\s*"([^"]+)"', token)
        return [frozenset([name.group(1)]) if name else frozenset()], at + 1

    return parse(0)[0]


def conditions(text):
    """Each `cfg(…)` of a source, and the module that it decides about, if it does."""
    for found in re.finditer(r"\bcfg!?\(", text):
        depth, at = 1, found.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        module = re.match(r"\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))? )?mod (\w+);", text[at:])
        yield text[found.end() : at - 1], module and module.group(1)


def walk(file, folder, gate, found):
    text = re.sub(r"//.*", "", file.read_text())
    gates = {}
    for condition, module in conditions(text):
        both = [one | other for one in gate for other in alternatives(condition)]
        found.update(both)
        if module:
            gates[module] = both
    for module in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);", text, re.M):
        for child, below in ((folder / f"{module}.rs", folder / module), (folder / module / "mod.rs", folder / module)):
            if child.exists():
                walk(child, below, gates.get(module, gate), found)


def main():
    metadata = subprocess.check_output(["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"])
    features = json.loads(metadata)["packages"][0]["features"]
    touching = set()
    walk(Path("src/lib.rs"), Path("src"), [frozenset()], touching)
    unknown = {name for names in touching for name in names} - features.keys()
    if unknown:
        sys.exit(f"src/ asks for features that Cargo.toml does not have: {', '.join(sorted(unknown))}")
    sets = {implied(features, [])} | {implied(features, [name]) for name in features if name not in SKIPPED}
    sets |= {implied(features, names) for names in touching if not names & SKIPPED}
    for names in sorted(sets, key=lambda names: (len(names), sorted(names))):
        roots = [name for name in names if not any(name in implied(features, [other]) for other in names - {name})]
        print(",".join(sorted(roots)))


main()
