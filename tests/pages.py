"""Does what a reader of the pages does: makes a new package, pastes the programs of a page, runs them, compares.

A page of PAGES has these blocks, and no others:

    ```toml       begins with `# Cargo.toml`: the dependencies of the programs that follow. Each is a package of its own.
                  `# NAME.toml`: a file in the folder of the package.
    ```rust       begins with `// src/main.rs` or `// src/bin/NAME.rs`: a whole program.
    ```console    `$ COMMAND` lines, each followed by what it shows. `$ cargo run &` starts the program, other commands
                  run in bash, `$ kill -TERM %1` ends it, which must end with status 0. What is below these two lines is the
                  program's log.
    ```text       after a line `It prints:`, what the program prints; elsewhere, a drawing or the code of other crates.
    ```yaml       files of Kubernetes: see `kubernetes`.

In what is shown, `…` stands for any text, and a line that is only `…` for any lines. The ports of a page are replaced by
free ones. Versions are those of Cargo.lock; nothing else is fetched.

`pages.py [PAGE]...` checks these pages, without arguments all.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

PAGES = ["axum", "tonic", "reqwest", "worker", "kubernetes", "migrating"]
# Examples that are the same text as the first program of a page.
EXAMPLES = {"axum": "axum_service", "tonic": "tonic_service", "reqwest": "reqwest_client", "worker": "worker"}

ROOT = Path.cwd()
FOLDER = ROOT / "target/pages"
PATIENCE = 30
QUICK = "CAMPANILE__SHUTDOWN__GRACE"
PORT = re.compile(r"(?:(?<=localhost:)|(?<=127\.0\.0\.1:)|(?<=0\.0\.0\.0:))\d{4,5}\b")


class Fault(Exception):
    pass


# ----- what a page holds -----


class Block:
    def __init__(self, page, number, language, lines, before):
        self.page, self.number, self.language, self.lines, self.before = page, number, language, lines, before
        first = re.fullmatch(r"(?:#|//) (\S+)", lines[0]) if lines else None
        self.name = first.group(1) if first else None

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def fault(self, words):
        return Fault(f"docs/{self.page}.md:{self.number}: {words}")


def blocks(page):
    """The fenced blocks of a page, in order."""
    found, language, lines, before, start = [], None, [], "", 0
    for number, line in enumerate((ROOT / f"docs/{page}.md").read_text().splitlines(), 1):
        if language is None and line.startswith("```"):
            language, lines, start = line[3:], [], number
        elif line == "```":
            found.append(Block(page, start, language, lines, before))
            language, before = None, ""
        elif language is not None:
            lines.append(line)
        elif line.strip():
            before = line
    if language is not None:
        raise Fault(f"docs/{page}.md:{start}: the block does not end")
    return found


class Package:
    """What a reader makes of the blocks: a folder with a manifest and programs."""

    def __init__(self, block, index):
        self.block, self.page = block, block.page
        self.name = f"{block.page}-{index}"
        self.folder = FOLDER / self.name
        self.files, self.steps, self.binaries = {}, [], {}
        manifest = tomllib.loads(block.text)
        ours = manifest.get("dependencies", {}).get("campanile")
        if ours is None:
            raise block.fault("the dependencies do not name campanile")
        self.manifest = block.text

    def cargo_toml(self):
        """The page's own lines, with this checkout instead of the version."""
        line = re.compile(r"^campanile = (?:\"[^\"]*\"|\{ *version = \"[^\"]*\",? *(.*)\})(?: *#.*)?$", re.M)
        path = json.dumps(str(ROOT))
        text, count = line.subn(lambda found: f"campanile = {{ path = {path}, {found.group(1) or ''} }}", self.manifest)
        if count != 1:
            raise self.block.fault('write one line `campanile = { version = "…", features = […] }`')
        text = text.replace(", }", " }")
        head = f'[package]\nname = "{self.name}"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n'
        return head + text

    def write(self):
        wanted = {"Cargo.toml": self.cargo_toml(), **self.files}
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.folder.rglob("*"):
            if file.is_file() and str(file.relative_to(self.folder)) not in wanted:
                file.unlink()
        for name, text in wanted.items():
            file = self.folder / name
            # A file that is the same is not built again.
            if not file.exists() or file.read_text() != text:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        shutil.copy(ROOT / "Cargo.lock", self.folder / "Cargo.lock")

    def build(self):
        self.write()
        command = ["cargo", "build", "--offline", "--bins", "--message-format", "json-render-diagnostics"]
        environment = os.environ | {"CARGO_TARGET_DIR": str(FOLDER / "build"), "CARGO_PROFILE_DEV_DEBUG": "0"}
        built = subprocess.run(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True)
        if built.returncode != 0:
            raise self.block.fault(
                "the programs of this package do not compile; a crate or feature that Cargo.lock lacks must be among the "
                "dev-dependencies"
            )
        for line in built.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable"):
                self.binaries[message["target"]["name"]] = message["executable"]
            # A reader is not to see any.
            if message["reason"] == "compiler-message" and message["target"]["name"] in (self.name, *self.binaries):
                if message["message"]["level"] == "warning":
                    raise self.block.fault(f"a warning: {message['message']['message']}")

    def binary(self, block, name):
        if name is None and len(self.binaries) != 1:
            raise block.fault(f"`cargo run` needs `--bin` with one of {sorted(self.binaries)}")
        name = name or next(iter(self.binaries))
        if name not in self.binaries:
            raise block.fault(f"there is no program `{name}`")
        return self.binaries[name]


def packages(page):
    """The packages of a page, each with the blocks that show what its programs do."""
    made, own = [], []
    for block in blocks(page):
        if block.language == "toml" and block.name == "Cargo.toml":
            own.append(Package(block, len(made) + len(own) + 1))
        elif block.language == "rust":
            if not own:
                raise block.fault("a program before its `# Cargo.toml`")
            if not block.name or not re.fullmatch(r"src/(main|bin/\w+)\.rs", block.name):
                raise block.fault("a program begins with `// src/main.rs` or `// src/bin/NAME.rs`")
            if block.name in own[-1].files:
                raise block.fault(f"`{block.name}` is there already; begin another `# Cargo.toml`")
            own[-1].files[block.name] = block.text
            own[-1].last = block
        elif block.language == "toml" and block.name and block.name.endswith(".toml"):
            if own:
                own[-1].files[block.name] = block.text
        elif block.language == "console" or (block.language == "text" and block.before == "It prints:"):
            if not own:
                raise block.fault("shown before there is a program")
            last = getattr(own[-1], "last", None)
            own[-1].steps.append((block, last))
        elif block.language not in ("text", "yaml", "dockerfile"):
            raise block.fault(f"a block of `{block.language}`, which the step `pages` does not know")
    for package in own:
        if not package.files:
            raise package.block.fault("no program follows")
    return own


# ----- what programs show -----


def pattern(lines):
    """What lines with `…` match."""
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n")
    return re.compile("".join(parts))


def compare(block, what, expected, actual):
    actual = actual.replace("\r", "")
    if actual and not actual.endswith("\n"):
        actual += "\n"
    if not pattern(expected).fullmatch(actual):
        shown = "\n".join(f"    {line}" for line in expected)
        got = "\n".join(f"    {line}" for line in actual.splitlines())
        raise block.fault(f"{what}: the page shows\n{shown}\n  and this came:\n{got}")


def clean_environment():
    """None of the variables that would change what is shown."""
    ours = ("CAMPANILE_", "OTEL_", "RUST_LOG", "METRICS_", "ALERT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # No load balancer is to notice.
    return kept | {QUICK: "100ms", "NO_COLOR": "1"}


class Ports:
    """Free ports instead of those of the page."""

    def __init__(self, texts):
        named = sorted({port for text in texts for port in PORT.findall(text)})
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in named]
        self.free = {port: str(own.getsockname()[1]) for port, own in zip(named, sockets)}
        for own in sockets:
            own.close()

    def there(self, text):
        return PORT.sub(lambda found: self.free.get(found.group(), found.group()), text)

    def back(self, text):
        for page, free in self.free.items():
            text = re.sub(rf"\b{free}\b", page, text)
        return text


class Running:
    """A program that was started with `&`."""

    def __init__(self, block, binary, folder, environment, log):
        self.block, self.log, self.read = block, log, 0
        with log.open("w") as out:
            self.process = subprocess.Popen([binary], cwd=folder, env=environment, stdout=out, stderr=out)

    def wait_for(self, port):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise self.block.fault(f"the program does not listen on the port; its log:\n{self.log.read_text()}")
            time.sleep(0.05)

    def news(self):
        text = self.log.read_text()
        new, self.read = text[self.read :], len(text)
        return new

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise self.block.fault("the program does not end at SIGTERM") from None
        if status != 0:
            raise self.block.fault(f"after SIGTERM the program ended with {status}; its log:\n{self.log.read_text()}")


CARGO_RUN = re.compile(r"((?:\w+=\S+ )*)cargo run(?: --bin (\w+))?( &)?")


class Session:
    """What a reader types, in order."""

    def __init__(self, package):
        self.package = package
        shown = [block.text for block, _ in package.steps] + list(package.files.values())
        self.ports = Ports(shown)
        self.running = None
        for name, text in package.files.items():
            if name.endswith(".toml"):
                (package.folder / name).write_text(self.ports.there(text))

    def run(self):
        try:
            for block, program in self.package.steps:
                if block.language == "text":
                    self.prints(block, program)
                else:
                    self.types(block)
            if self.running:
                raise self.package.block.fault("the page starts a program and does not end it: `$ kill -TERM %1`")
        finally:
            if self.running:
                self.running.process.kill()

    def prints(self, block, program):
        if program is None:
            raise block.fault("no program prints this")
        name = self.package.name if program.name == "src/main.rs" else Path(program.name).stem
        binary = self.package.binary(block, name)
        compare(block, "what it prints", block.lines, self.output(block, [binary], clean_environment(), alone=True))

    def output(self, block, command, environment, alone=False):
        errors = subprocess.PIPE if alone else subprocess.STDOUT
        try:
            done = subprocess.run(
                command, cwd=self.package.folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
                timeout=2 * PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise block.fault(f"{command[-1]} did not end") from None
        if done.returncode != 0:
            raise block.fault(f"{command[-1]} ended with {done.returncode}:\n{done.stdout}{done.stderr or ''}")
        return self.ports.back(done.stdout)

    def types(self, block):
        commands = []
        for line in block.lines:
            if line.startswith("$ "):
                commands.append((line[2:], []))
            elif commands:
                commands[-1][1].append(line)
            else:
                raise block.fault("a console begins with a command: `$ …`")
        for command, expected in commands:
            compare(block, f"`{command}`", expected, self.type(block, command, expected))

    def type(self, block, command, expected):
        run = CARGO_RUN.fullmatch(command)
        if run:
            assigned, name, background = run.groups()
            pairs = (pair.split("=", 1) for pair in assigned.split())
            environment = clean_environment() | {key: self.ports.there(value) for key, value in pairs}
            binary = self.package.binary(block, name)
            if not background:
                return self.output(block, [binary], environment)
            if self.running:
                raise block.fault("a program runs already")
            log = FOLDER / f"{self.package.name}.log"
            self.running = Running(block, binary, self.package.folder, environment, log)
            for port in self.listened(command):
                self.running.wait_for(self.ports.free[port])
            return self.ports.back(self.running.news())
        if command == "kill -TERM %1":
            if not self.running:
                raise block.fault("no program runs")
            ended, self.running = self.running, None
            ended.terminate()
            return self.ports.back(ended.news()) if expected else ""
        command = ["bash", "-o", "pipefail", "-c", self.ports.there(command)]
        return self.output(block, command, clean_environment())

    def listened(self, command):
        """The ports of the addresses in the command and in the settings that it names."""
        texts = [command]
        for name, text in self.package.files.items():
            if name in command:
                texts.append(text)
        return [port for text in texts for port in PORT.findall(text)]


# ----- Kubernetes -----


def kubernetes():
    """The manifests parse, and what they say of the program of docs/axum.md is so."""
    import yaml

    page = "kubernetes"
    own = [block for block in blocks(page) if block.language == "yaml"]
    try:
        documents = [document for block in own for document in yaml.safe_load_all(block.text) if document]
    except yaml.YAMLError as error:
        raise own[0].fault(f"a block is not YAML: {error}") from None

    def one(kind):
        found = [document for document in documents if document["kind"] == kind]
        if len(found) != 1:
            raise own[0].fault(f"{len(found)} documents of the kind {kind} instead of one")
        return found[0]

    def fault(words):
        return own[0].fault(words)

    pod = one("Deployment")["spec"]["template"]["spec"]
    (shop,) = pod["containers"]
    sidecars = pod.get("initContainers", [])
    maps = {document["metadata"]["name"]: document["data"] for document in documents if document["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume["configMap"]["name"] for volume in pod["volumes"]}

    def mounted(container, path):
        """The text of a file in a container."""
        for mount in container["volumeMounts"]:
            if path.startswith(mount["mountPath"] + "/"):
                return maps[volumes[mount["name"]]][path.removeprefix(mount["mountPath"] + "/")]
        raise fault(f"nothing is mounted at {path}")

    # The program of docs/axum.md, with the variables and the file of the manifest.
    (package, *_) = packages("axum")
    package.build()
    environment = {variable["name"]: variable["value"] for variable in shop["env"] if "value" in variable}
    settings = mounted(shop, environment["CAMPANILE_CONFIG"])
    ports = Ports([settings, *environment.values()])
    file = FOLDER / "kubernetes.toml"
    file.write_text(ports.there(settings))
    changed = {name: ports.there(value) for name, value in environment.items()}
    changed["CAMPANILE_CONFIG"] = str(file)
    binary = next(iter(package.binaries.values()))
    changed = {name: value for name, value in clean_environment().items() if name != QUICK} | changed
    running = Running(own[0], binary, package.folder, changed, FOLDER / "kubernetes.log")
    try:
        by_name = {port["name"]: str(port["containerPort"]) for port in shop["ports"]}
        for port in by_name.values():
            if port not in ports.free:
                raise fault(f"the program is not told to listen on port {port}")
            running.wait_for(ports.free[port])

        def get(path, port):
            port = ports.free[by_name.get(port, str(port))]
            command = ["curl", "-s", "-o", "-", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"]
            *body, status = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE).stdout.split("\n")
            return int(status), "\n".join(body)

        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = shop[probe]["httpGet"]
            status, _ = get(asked["path"], asked["port"])
            if status != 200:
                raise fault(f"{probe}: {asked['path']} on port {asked['port']} answers {status}")
        notes = one("Deployment")["spec"]["template"]["metadata"]["annotations"]
        status, body = get(notes["prometheus.io/path"], notes["prometheus.io/port"])
        if status != 200 or "# TYPE" not in body:
            raise fault(f"the annotations of Prometheus name a page that answers {status}")
    finally:
        # The page of axum shows how it ends.
        running.process.kill()

    # The limits of the shutdown fit into the time that Kubernetes gives, with a second left.
    total = seconds(tomllib.loads(settings).get("shutdown", {}).get("total", "28s"))
    grace = pod["terminationGracePeriodSeconds"]
    if grace < total + 1:
        raise fault(f"terminationGracePeriodSeconds is {grace}, and the shutdown may take {total} s")
    for container in [shop, *sidecars]:
        if not {"cpu", "memory"} <= container["resources"]["requests"].keys() or "memory" not in container["resources"]["limits"]:
            raise fault(f"the container {container['name']} lacks resources")

    # The collector listens where the program sends to, and outlives it.
    (collector,) = sidecars
    if collector.get("restartPolicy") != "Always":
        raise fault("the collector is no sidecar: it has no `restartPolicy: Always`")
    (path,) = (text.removeprefix("--config=") for text in collector["args"])
    pipeline = yaml.safe_load(mounted(collector, path))
    endpoint = pipeline["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    if environment["OTEL_EXPORTER_OTLP_ENDPOINT"] != f"http://{endpoint}":
        raise fault(f"the program sends to another address than {endpoint}")
    kinds = {kind: pipeline.get(f"{kind}s", {}) for kind in ("receiver", "processor", "exporter")}
    for name, steps in pipeline["service"]["pipelines"].items():
        for kind, defined in kinds.items():
            missing = [step for step in steps.get(f"{kind}s", []) if step not in defined]
            if missing:
                raise fault(f"the pipeline `{name}` of the collector uses {missing}, which it does not define")

    # The service finds the pods.
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    for selector in (one("Deployment")["spec"]["selector"]["matchLabels"], one("Service")["spec"]["selector"]):
        if not selector.items() <= labels:
            raise fault(f"no pod has the labels {selector}")


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text)
    if not found:
        raise Fault(f"docs/kubernetes.md: write `{text}` in seconds")
    return int(found.group(1))


# ----- all pages -----


def program(text):
    """A program without the comments at its head."""
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith("//")):
        lines.pop(0)
    return lines


def check(page):
    made = packages(page)
    if page in EXAMPLES:
        example = f"examples/{EXAMPLES[page]}.rs"
        first = next(iter(text for name, text in made[0].files.items() if name.endswith(".rs")))
        if program(first) != program((ROOT / example).read_text()):
            raise made[0].block.fault(f"the first program is another than {example}; make them the same")
    for package in made:
        package.build()
        Session(package).run()
    if page == "kubernetes":
        kubernetes()
        return "the program of axum with these manifests"
    programs = sum(name.endswith(".rs") for package in made for name in package.files)
    shown = sum(len(package.steps) for package in made)
    return f"{programs} programs in {len(made)} packages, {shown} blocks of what they show"


def main():
    chosen = sys.argv[1:] or PAGES
    # What is fetched are the versions of Cargo.lock, and the packages use no others.
    host = subprocess.check_output(["rustc", "--print", "host-tuple"], text=True).strip()
    subprocess.run(["cargo", "fetch", "--quiet", "--locked", "--target", host], check=True)
    faults = 0
    for page in chosen:
        started = time.monotonic()
        try:
            result = check(page)
        except Fault as fault:
            faults += 1
            result = f"FAILED\n{fault}"
        print(f"{page}: {result} ({time.monotonic() - started:.0f} s)", flush=True)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
