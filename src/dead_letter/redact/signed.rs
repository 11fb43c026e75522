//! URIs with a signature: which query parameters belong together.

/// The parameter that holds the signature, and the parameters that belong to it, in lower case.
const SCHEMES: &[(&str, &[&str])] = &[
    // AWS, version 4.
    ("x-amz-signature", &["x-amz-credential", "x-amz-security-token"]),
    // Google, version 4.
    ("x-goog-signature", &["x-goog-credential"]),
    // Azure: a shared access signature.
    ("sig", &["skoid", "sktid", "ske", "skt", "sks", "skv"]),
    // AWS, version 2, its CDN, Google, version 2, and Alibaba.
    (
        "signature",
        &[
            "awsaccesskeyid",
            "x-amz-security-token",
            "key-pair-id",
            "policy",
            "googleaccessid",
            "ossaccesskeyid",
            "security-token",
        ],
    ),
];

/// The signatures in a query, each with its parameters and whether they are kept.
pub(super) struct Signed {
    schemes: Vec<(&'static str, &'static [&'static str], bool)>,
}

impl Signed {
    /// `named` says whether the settings name a parameter, so that it must not be stored.
    pub(super) fn of(query: &str, named: impl Fn(&str) -> bool) -> Self {
        let names = || query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
        let has = |known: &str| names().any(|name| name.eq_ignore_ascii_case(known));
        let schemes = SCHEMES.iter().filter(|(signature, _)| has(signature)).map(|(signature, others)| {
            let removed = named(signature) || others.iter().any(|other| has(other) && named(other));
            (*signature, *others, !removed)
        });
        Self { schemes: schemes.collect() }
    }

    /// Whether the parameter `name` is kept; `None` if it belongs to no signature.
    pub(super) fn keeps(&self, name: &str) -> Option<bool> {
        let mut keeps = None;
        for (signature, others, kept) in &self.schemes {
            if signature.eq_ignore_ascii_case(name)
                || others.iter().any(|other| other.eq_ignore_ascii_case(name))
            {
                keeps = Some(keeps.unwrap_or(true) && *kept);
            }
        }
        keeps
    }
}
