//! The Kubernetes pod that the process runs in.
//!
//! Kubernetes itself gives a pod little information. Manifests pass the rest as variables, through the downward API.
//! Their names are not standardized; the common ones are read.

use opentelemetry::KeyValue;
use uuid::Uuid;

use super::environment::{Environment, present};

const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub(super) fn attributes(environment: &Environment<'_>) -> Vec<KeyValue> {
    if environment.variable("KUBERNETES_SERVICE_HOST").is_none() {
        return Vec::new();
    }
    let first = |names: &[&str]| environment.first(names);
    present([
        ("k8s.cluster.name", first(&["K8S_CLUSTER_NAME", "CLUSTER_NAME"])),
        ("k8s.container.name", first(&["K8S_CONTAINER_NAME", "CONTAINER_NAME"])),
        ("k8s.deployment.name", first(&["K8S_DEPLOYMENT_NAME", "DEPLOYMENT_NAME"])),
        (
            "k8s.namespace.name",
            first(&["K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE", "K8S_POD_NAMESPACE"])
                .or_else(|| environment.file(NAMESPACE)),
        ),
        ("k8s.node.name", first(&["K8S_NODE_NAME", "NODE_NAME", "KUBE_NODE_NAME"])),
        // A pod's host name is its name, unless the pod uses the network of its node.
        ("k8s.pod.name", first(&["K8S_POD_NAME", "POD_NAME", "HOSTNAME"])),
        (
            "k8s.pod.uid",
            first(&["K8S_POD_UID", "POD_UID"])
                .or_else(|| uid_in_cgroup(&environment.file("/proc/self/cgroup")?)),
        ),
    ])
    .collect()
}

/// The uid in a path such as `/kubepods/burstable/podUID/…`, or `/…/kubepods-burstable-podUID.slice/…` with underscores in
/// place of dashes.
fn uid_in_cgroup(text: &str) -> Option<String> {
    text.split(['/', '\n', ':']).find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let uid = match part.strip_prefix("kubepods") {
            Some(rest) => rest.rsplit_once("-pod")?.1,
            None => part.strip_prefix("pod")?,
        }
        .replace('_', "-");
        // `try_parse` also accepts a UUID without dashes.
        (uid.len() == 36 && Uuid::try_parse(&uid).is_ok()).then_some(uid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";
    const IN_CLUSTER: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");

    fn found(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<(String, String)> {
        attributes(&Environment::for_test(variables, files))
            .into_iter()
            .map(|it| (it.key.to_string(), it.value.to_string()))
            .collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn name_and_namespace_are_detected_without_a_manifest() {
        let cgroup = format!("0::/kubepods/burstable/pod{UID}/abc");
        let files = [(NAMESPACE, "shop\n"), ("/proc/self/cgroup", cgroup.as_str())];
        assert_eq!(
            found(&[IN_CLUSTER, ("HOSTNAME", "cart-7d4f-x2x")], &files),
            pairs([("k8s.namespace.name", "shop"), ("k8s.pod.name", "cart-7d4f-x2x"), ("k8s.pod.uid", UID)])
        );
        assert_eq!(found(&[("HOSTNAME", "laptop"), ("NODE_NAME", "n")], &files), [], "not in a cluster");
    }

    #[test]
    fn variables_of_the_manifest_win() {
        let variables = [
            IN_CLUSTER,
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
    fn the_uid_is_found_in_both_kinds_of_path() {
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
