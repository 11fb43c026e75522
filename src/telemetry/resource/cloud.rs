//! The cloud platform, from environment variables.
//!
//! More attributes would need requests over the network, which take time. Collectors can add them.

use opentelemetry::KeyValue;

use super::environment::{Environment, present};

pub(super) fn attributes(environment: &Environment<'_>) -> Vec<KeyValue> {
    let get = |name| environment.variable(name);
    let mut found = Vec::new();
    if let Some(function) = get("AWS_LAMBDA_FUNCTION_NAME") {
        found.extend(of("aws", "aws_lambda", get("AWS_REGION")));
        found.extend(present([
            ("faas.name", Some(function)),
            ("faas.version", get("AWS_LAMBDA_FUNCTION_VERSION")),
            ("faas.instance", get("AWS_LAMBDA_LOG_STREAM_NAME")),
        ]));
        let mebibytes = get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|size| size.parse::<i64>().ok());
        let bytes = mebibytes.and_then(|size| size.checked_mul(1024 * 1024));
        found.extend(bytes.map(|bytes| KeyValue::new("faas.max_memory", bytes)));
    } else if environment.first(&["ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"]).is_some() {
        found.extend(of("aws", "aws_ecs", get("AWS_REGION")));
    } else if let Some(service) = get("K_SERVICE").filter(|_| get("KUBERNETES_SERVICE_HOST").is_none()) {
        // Knative sets `K_SERVICE` in any Kubernetes cluster.
        found.extend(of("gcp", "gcp_cloud_run", None));
        found.extend(present([("faas.name", Some(service)), ("faas.version", get("K_REVISION"))]));
    } else if let Some(site) = get("WEBSITE_SITE_NAME") {
        let functions = get("FUNCTIONS_WORKER_RUNTIME").is_some();
        let platform = if functions { "azure.functions" } else { "azure.app_service" };
        found.extend(of("azure", platform, get("REGION_NAME")));
        found.extend(present([
            ("faas.name", Some(site).filter(|_| functions)),
            ("deployment.environment.name", get("WEBSITE_SLOT_NAME")),
        ]));
    }
    found
}

fn of(
    provider: &'static str,
    platform: &'static str,
    region: Option<String>,
) -> impl Iterator<Item = KeyValue> {
    let known = |name: &str| Some(name.to_owned());
    present([
        ("cloud.provider", known(provider)),
        ("cloud.platform", known(platform)),
        ("cloud.region", region),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Vec<KeyValue> {
        attributes(&Environment::for_test(variables, &[]))
    }

    #[test]
    fn a_platform_is_detected_by_its_variables() {
        let lambda = found(&[
            ("AWS_LAMBDA_FUNCTION_NAME", "resize"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_REGION", "eu-central-1"),
        ]);
        assert_eq!(
            lambda,
            [
                KeyValue::new("cloud.provider", "aws"),
                KeyValue::new("cloud.platform", "aws_lambda"),
                KeyValue::new("cloud.region", "eu-central-1"),
                KeyValue::new("faas.name", "resize"),
                KeyValue::new("faas.max_memory", 134_217_728),
            ]
        );
        let platform = |variables: &[(&str, &str)]| {
            let found = found(variables);
            found.iter().find(|it| it.key.as_str() == "cloud.platform").map(|it| it.value.to_string())
        };
        assert_eq!(platform(&[("ECS_CONTAINER_METADATA_URI_V4", "http://a")]).as_deref(), Some("aws_ecs"));
        assert_eq!(platform(&[("K_SERVICE", "a")]).as_deref(), Some("gcp_cloud_run"));
        assert_eq!(platform(&[("WEBSITE_SITE_NAME", "a")]).as_deref(), Some("azure.app_service"));
        assert_eq!(
            platform(&[("K_SERVICE", "a"), ("KUBERNETES_SERVICE_HOST", "b")]),
            None,
            "this is Knative"
        );
        assert_eq!(platform(&[("AWS_REGION", "eu-central-1")]), None, "a region alone is not a platform");
    }
}
