//! The paths of requests without a span.

use std::sync::Arc;

/// Probes, metrics and reflection.
const DEFAULT: [&str; 7] =
    ["/livez", "/readyz", "/startupz", "/healthz", "/metrics", "/grpc.health.v1*", "/grpc.reflection*"];

/// The paths of requests without a span.
#[derive(Clone, Debug)]
pub(super) struct Untraced(Arc<[Path]>);

#[derive(Clone, Debug)]
enum Path {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Default for Untraced {
    fn default() -> Self {
        Self::new(DEFAULT)
    }
}

impl Untraced {
    pub(super) fn new<P: AsRef<str>>(paths: impl IntoIterator<Item = P>) -> Self {
        let path = |path: P| match path.as_ref().strip_suffix('*') {
            Some(prefix) => Path::Prefix(prefix.into()),
            None => Path::Exact(path.as_ref().into()),
        };
        Self(paths.into_iter().map(path).collect())
    }

    #[inline]
    pub(super) fn contains(&self, path: &str) -> bool {
        self.0.iter().any(|untraced| match untraced {
            Path::Exact(exact) => **exact == *path,
            Path::Prefix(prefix) => path.starts_with(&**prefix),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_not_traced() {
        let untraced = Untraced::default();
        for path in [
            "/livez",
            "/metrics",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1alpha.ServerReflection/A",
        ] {
            assert!(untraced.contains(path), "{path}");
        }
        for path in ["/", "/livez/", "/orders/livez", "/shop.Orders/Put", "/metricsx"] {
            assert!(!untraced.contains(path), "{path}");
        }
        assert!(
            Untraced::new(["/internal/*"]).contains("/internal/a")
                && !Untraced::new(["/a"]).contains("/livez")
        );
    }
}
