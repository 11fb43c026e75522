use tower::BoxError;

use super::text::error_chain;

/// The result of one run of a check.
///
/// `()` and `Ok(())` convert into a pass, `Err` into a failure with the error and its causes as the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The component works.
    Pass,
    /// The component works, but something is wrong: what.
    Warn(String),
    /// The component does not work: why.
    Fail(String),
}

impl From<()> for Finding {
    fn from((): ()) -> Self {
        Self::Pass
    }
}

impl<T: Into<Finding>, E: Into<BoxError>> From<Result<T, E>> for Finding {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(found) => found.into(),
            Err(error) => Self::Fail(error_chain(error.into().as_ref())),
        }
    }
}
