use tower::BoxError;

use super::words::causes;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All is well.
    Pass,
    /// It works, and something is amiss: what.
    Warn(String),
    /// It does not work: why.
    Fail(String),
}

/// What a check may end in.
///
/// `()` is well; a `Result` is well, or its error is what failed; a [`Finding`] is itself.
pub trait IntoFinding {
    /// As a finding.
    fn into_finding(self) -> Finding;
}

impl IntoFinding for Finding {
    fn into_finding(self) -> Finding {
        self
    }
}

impl IntoFinding for () {
    fn into_finding(self) -> Finding {
        Finding::Pass
    }
}

impl<T: IntoFinding, E: Into<BoxError>> IntoFinding for Result<T, E> {
    fn into_finding(self) -> Finding {
        match self {
            Ok(found) => found.into_finding(),
            Err(error) => Finding::Fail(causes(error.into().as_ref())),
        }
    }
}
