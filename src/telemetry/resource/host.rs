//! The host, its operating system, and this process.

use std::env;

use opentelemetry::KeyValue;

use super::environment::{Environment, present};

pub(super) fn attributes(environment: &Environment<'_>) -> Vec<KeyValue> {
    let release = environment.file("/etc/os-release").unwrap_or_default();
    let executable = env::current_exe().ok();
    let executable = executable.as_deref().and_then(|path| path.file_name()?.to_str());
    let mut found: Vec<_> = present([
        (
            "host.name",
            environment
                .file("/proc/sys/kernel/hostname")
                .or_else(|| environment.first(&["HOSTNAME", "COMPUTERNAME"])),
        ),
        (
            "host.id",
            environment.file("/etc/machine-id").or_else(|| environment.file("/var/lib/dbus/machine-id")),
        ),
        ("host.arch", Some(arch(env::consts::ARCH).to_owned())),
        ("os.type", Some(os(env::consts::OS).to_owned())),
        ("os.name", field(&release, "NAME")),
        ("os.version", field(&release, "VERSION_ID")),
        ("os.description", field(&release, "PRETTY_NAME")),
        ("process.executable.name", executable.map(ToOwned::to_owned)),
        ("process.runtime.name", Some("rust".to_owned())),
    ])
    .collect();
    found.push(KeyValue::new("process.pid", i64::from(std::process::id())));
    found
}

/// The name of an architecture in OpenTelemetry's conventions.
fn arch(of_rust: &str) -> &str {
    match of_rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

/// The name of an operating system in OpenTelemetry's conventions.
fn os(of_rust: &str) -> &str {
    match of_rust {
        "macos" | "ios" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

/// A field of an os-release file. Quotation marks around the value are removed.
fn field(release: &str, name: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_system_are_read_from_files() {
        let files = [
            (
                "/etc/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME='Debian'\nVERSION_ID=12\nEMPTY=\n",
            ),
            ("/proc/sys/kernel/hostname", "box-1\n"),
            ("/var/lib/dbus/machine-id", "0af7\n"),
        ];
        let found = attributes(&Environment::for_test(&[("HOSTNAME", "other")], &files));
        for (key, value) in [
            ("host.name", "box-1"),
            ("host.id", "0af7"),
            ("os.name", "Debian"),
            ("os.version", "12"),
            ("os.description", "Debian GNU/Linux 12"),
        ] {
            assert!(found.contains(&KeyValue::new(key, value)), "{key} in {found:?}");
        }
        let bare = attributes(&Environment::for_test(&[("HOSTNAME", "other")], &[]));
        assert!(bare.contains(&KeyValue::new("host.name", "other")), "{bare:?}");
        assert!(!bare.iter().any(|it| it.key.as_str() == "os.name"), "{bare:?}");
    }

    #[test]
    fn names_follow_the_convention() {
        assert_eq!((arch("x86_64"), arch("aarch64"), arch("s390x")), ("amd64", "arm64", "s390x"));
        assert_eq!((os("macos"), os("linux")), ("darwin", "linux"));
    }
}
