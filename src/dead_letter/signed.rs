//! Requests whose URI was signed: the parameters that are of no use without each other.

/// The parameter with the signature, and those that belong to it, in lower case.
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

/// How the query of a request was signed, and whether what belongs to that is kept.
pub(super) struct Signed {
    schemes: Vec<(&'static str, &'static [&'static str], bool)>,
}

impl Signed {
    /// `asked` tells of which parameters the settings say by name that they must not be stored.
    pub(super) fn of(query: &str, asked: impl Fn(&str) -> bool) -> Self {
        let names = || query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
        let has = |known: &str| names().any(|name| name.eq_ignore_ascii_case(known));
        let schemes = SCHEMES.iter().filter(|(signature, _)| has(signature)).map(|(signature, others)| {
            let removed = asked(signature) || others.iter().any(|other| has(other) && asked(other));
            (*signature, *others, !removed)
        });
        Self { schemes: schemes.collect() }
    }

    /// Whether the parameter `name` is kept; none if it belongs to no signature.
    pub(super) fn verdict(&self, name: &str) -> Option<bool> {
        let mut verdict = None;
        for (signature, others, kept) in &self.schemes {
            if signature.eq_ignore_ascii_case(name)
                || others.iter().any(|other| other.eq_ignore_ascii_case(name))
            {
                verdict = Some(verdict.unwrap_or(true) && *kept);
            }
        }
        verdict
    }
}
