//! The names of parts, each of which is built once.

use crate::base::error::ConfigError;
use crate::hub::config::{NAMES, is_name};
use crate::hub::fault::StartError;
use crate::hub::parts::Slot;

/// Checks the name of a part: sections and files have it too.
pub(super) fn check_name(kind: &str, name: &str) -> Result<(), ConfigError> {
    ConfigError::check(is_name(name), "name", name, NAMES).map_err(|error| error.of(kind, name))
}

/// The error of a part whose settings are changed where it is not built first.
pub(super) fn built_already(name: &str) -> ConfigError {
    let reason = "it is built already; change its settings where it is built first";
    ConfigError::because("name", format_args!("`{name}`"), reason)
}

/// Returns the part in `slot`, which `build` makes unless it is there.
///
/// # Errors
/// That of `build`; and if the part is there, although its settings were `changed` for this build.
pub(super) async fn build_once<T: Clone>(
    slot: &Slot<T>,
    name: &str,
    changed: bool,
    build: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    let mut first = false;
    let is_first = &mut first;
    let build = || async move {
        let part = build.await?;
        *is_first = true;
        Ok::<_, StartError>(part)
    };
    let part = slot.get_or_try_init(build).await?.clone();
    if changed && !first { Err(built_already(name).into()) } else { Ok(part) }
}
