//! The id of the container that the process runs in.
//!
//! No engine passes this id to the process. It is part of paths in the kernel's files, which differ from engine to engine.

use opentelemetry::KeyValue;

use super::environment::{Environment, present};

pub(super) fn attributes(environment: &Environment<'_>) -> impl Iterator<Item = KeyValue> {
    let id = environment
        .file("/proc/self/cgroup")
        .and_then(|text| id_in_cgroup(&text))
        .or_else(|| environment.file("/proc/self/mountinfo").and_then(|text| id_in_mounts(&text)));
    present([("container.id", id)])
}

/// The id in `/proc/self/cgroup`: the end of a path such as `/docker/ID`, `/kubepods/pod…/ID`,
/// `/…/cri-containerd-ID.scope` or `/ecs/…/ID`.
fn id_in_cgroup(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let group = line.splitn(3, ':').nth(2)?;
        let last = group.rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        // `containerd` has `namespace:runtime:id`, systemd has `engine-id`.
        let last = last.rsplit(':').next()?;
        [Some(last), last.rsplit_once('-').map(|(_, id)| id)]
            .into_iter()
            .flatten()
            .find(|id| is_id(id))
            .map(ToOwned::to_owned)
    })
}

/// The id in `/proc/self/mountinfo`, if the control group is only `/`. Docker and Podman mount files such as
/// `/var/lib/docker/containers/ID/hostname` into each container.
///
/// The mounts of containerd and CRI-O hold the id of the pod's sandbox, which is another container.
fn id_in_mounts(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        // The root and the mount point are fields 4 and 5.
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        if !["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv"].contains(&point) {
            return None;
        }
        let parts: Vec<_> = root.split('/').collect();
        let within = |pair: &&[&str]| pair[0].ends_with("containers") && is_id(pair[1]);
        parts.windows(2).find(within).map(|pair| pair[1].to_owned())
    })
}

/// Whether `text` is 64 hexadecimal digits, or the form of Amazon ECS: 32 of them, a dash and a number.
fn is_id(text: &str) -> bool {
    let hex = |text: &str, digits| text.len() == digits && text.bytes().all(|it| it.is_ascii_hexdigit());
    let of_ecs = |(task, number): (&str, &str)| {
        hex(task, 32) && !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())
    };
    hex(text, 64) || text.split_once('-').is_some_and(of_ecs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3fd1bb1b9e5fa7a8d5b4e07ad7ed0cf1c4f2f67a3f7c0f4dcb6ee5a0f0a1b2c3";

    #[test]
    fn the_id_is_found_in_the_path_of_each_engine() {
        for line in [
            "13:name=systemd:/docker/ID",
            "0::/system.slice/docker-ID.scope",
            "0::/../cri-containerd-ID.scope",
            "12:cpu:/kubepods/burstable/pod2c48913c-b29f-11e7-9350-020968147796/ID",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/crio-ID.scope",
            "0::/machine.slice/libpod-ID.scope",
            "1:memory:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
            "0::/user.slice/user-1000.slice/libpod-ID.scope",
        ] {
            let text = format!("14:pids:/\n{}\n", line.replace("ID", ID));
            assert_eq!(id_in_cgroup(&text).as_deref(), Some(ID), "{line}");
        }
        let of_ecs = "447438d8540d59bd8b4ee5fd7e0d4d80-2531612879";
        assert_eq!(id_in_cgroup(&format!("9:cpu:/ecs/task/{of_ecs}")).as_deref(), Some(of_ecs));
    }

    #[test]
    fn without_a_container_there_is_no_id() {
        for text in [
            "0::/",
            "0::/user.slice/user-1000.slice/session-3.scope",
            "0::/system.slice/ssh.service",
            "",
            "nonsense",
            "a:b",
            "1:memory:/lxc/3fd1bb1b",
        ] {
            assert_eq!(id_in_cgroup(text), None, "{text}");
        }
    }

    #[test]
    fn the_id_is_found_in_mounts_if_not_in_control_groups() {
        let docker =
            "724 711 8:1 /var/lib/docker/containers/ID/hostname /etc/hostname rw,relatime - ext4 /dev/sda1";
        let podman =
            "9 7 0:24 /containers/storage/overlay-containers/ID/userdata/hosts /etc/hosts rw - tmpfs tmpfs";
        for line in [docker, podman] {
            let text = format!("1 2 0:1 / / rw - overlay overlay\n{}\n", line.replace("ID", ID));
            let files = [("/proc/self/cgroup", "0::/"), ("/proc/self/mountinfo", text.as_str())];
            let found: Vec<_> = attributes(&Environment::for_test(&[], &files)).collect();
            assert_eq!(found, [KeyValue::new("container.id", ID)], "{line}");
        }
        let sandbox =
            "9 7 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/ID/hostname /etc/hostname rw";
        let elsewhere = "9 7 8:1 /var/lib/docker/containers/ID/mounts /data rw";
        for line in [sandbox, elsewhere, "", "1 2"] {
            assert_eq!(id_in_mounts(&line.replace("ID", ID)), None, "{line}");
        }
    }
}
