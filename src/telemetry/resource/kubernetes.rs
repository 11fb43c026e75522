//! The pod that the process runs in.
//!
//! Kubernetes tells a pod little by itself. The rest is handed in by its manifest, through the downward API, under
//! names that are a custom and no more: those that are in wide use are looked for.

use opentelemetry::KeyValue;
use uuid::Uuid;

use super::surroundings::{Surroundings, present};

const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub(super) fn attributes(surroundings: &Surroundings<'_>) -> Vec<KeyValue> {
    if surroundings.variable("KUBERNETES_SERVICE_HOST").is_none() {
        return Vec::new();
    }
    let first = |names: &[&str]| surroundings.first(names);
    present([
        ("k8s.cluster.name", first(&["K8S_CLUSTER_NAME", "CLUSTER_NAME"])),
        ("k8s.container.name", first(&["K8S_CONTAINER_NAME", "CONTAINER_NAME"])),
        ("k8s.deployment.name", first(&["K8S_DEPLOYMENT_NAME", "DEPLOYMENT_NAME"])),
        (
            "k8s.namespace.name",
            first(&["K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE", "K8S_POD_NAMESPACE"])
                .or_else(|| surroundings.file(NAMESPACE)),
        ),
        ("k8s.node.name", first(&["K8S_NODE_NAME", "NODE_NAME", "KUBE_NODE_NAME"])),
        // The name of a pod is that of its host, unless it uses the network of its node.
        ("k8s.pod.name", first(&["K8S_POD_NAME", "POD_NAME", "HOSTNAME"])),
        (
            "k8s.pod.uid",
            first(&["K8S_POD_UID", "POD_UID"])
                .or_else(|| uid_in_cgroup(&surroundings.file("/proc/self/cgroup")?)),
        ),
    ])
    .collect()
}

/// The uid in a path such as `/kubepods/burstable/podUID/…` or `/…/kubepods-burstable-podUID.slice/…`, where dashes
/// have become underscores.
fn uid_in_cgroup(text: &str) -> Option<String> {
    text.split(['/', '\n', ':']).find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = match part.strip_prefix("kubepods") {
            Some(rest) => rest.rsplit_once("-pod")?.1,
            None => part.strip_prefix("pod")?,
        }
        .replace('_', "-");
        // A UUID can be written without dashes, too.
        (uid.len() == 36 && Uuid::try_parse(&uid).is_ok()).then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";
    const IN: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");

    fn found(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<(String, String)> {
        attributes(&Surroundings::of_a_test(variables, files))
            .into_iter()
            .map(|it| (it.key.to_string(), it.value.to_string()))
            .collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn a_pod_knows_its_name_and_namespace_by_itself() {
        let cgroup = format!("0::/kubepods/burstable/pod{UID}/abc");
        let files = [(NAMESPACE, "shop\n"), ("/proc/self/cgroup", cgroup.as_str())];
        assert_eq!(
            found(&[IN, ("HOSTNAME", "cart-7d4f-x2x")], &files),
            pairs([("k8s.namespace.name", "shop"), ("k8s.pod.name", "cart-7d4f-x2x"), ("k8s.pod.uid", UID)])
        );
        assert_eq!(found(&[("HOSTNAME", "laptop"), ("NODE_NAME", "n")], &files), [], "not in a cluster");
    }

    #[test]
    fn what_the_manifest_hands_in_wins() {
        let variables = [
            IN,
            ("POD_NAME", "cart-1"),
            ("POD_NAMESPACE", "blue"),
            ("POD_UID", "u"),
            ("NODE_NAME", "node-1"),
            ("CONTAINER_NAME", "cart"),
            ("HOSTNAME", "node-1"),
        ];
        assert_eq!(
            found(&variables, &[(NAMESPACE, "shop")]),
            pairs([
                ("k8s.container.name", "cart"),
                ("k8s.namespace.name", "blue"),
                ("k8s.node.name", "node-1"),
                ("k8s.pod.name", "cart-1"),
                ("k8s.pod.uid", "u")
            ])
        );
    }

    #[test]
    fn a_uid_is_found_in_both_kinds_of_path() {
        let slice = UID.replace('-', "_");
        let systemd =
            format!("1:x:/a\n0::/kubepods.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-1.scope");
        assert_eq!(uid_in_cgroup(&systemd).as_deref(), Some(UID));
        assert_eq!(
            uid_in_cgroup(&format!("0::/kubepods.slice/kubepods-pod{slice}.slice")).as_deref(),
            Some(UID)
        );
        for text in ["0::/", "0::/kubepods/podx", "0::/podman/pod1"] {
            assert_eq!(uid_in_cgroup(text), None, "{text}");
        }
    }
}
