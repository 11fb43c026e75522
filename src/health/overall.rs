//! The overall status, and the reason for it.

use std::sync::Arc;

use super::snapshot::{ComponentHealth, HealthSnapshot};
use super::status::Status;

/// The maximum number of components that a reason names.
const NAMED: usize = 5;

/// The overall status of the components in `snapshot`, and why it is worse than `Healthy`. `unwell_limit` is the setting
/// `unwell_components`.
pub(super) fn judge(snapshot: &HealthSnapshot, unwell_limit: Option<u64>) -> (Status, Option<Arc<str>>) {
    let counted = || snapshot.components.iter().filter(|component| !component.optional);
    let by_component = counted()
        .map(
            |component| {
                if component.critical { component.status } else { component.status.min(Status::Degraded) }
            },
        )
        .chain(snapshot.missing().map(|missing| missing.status.max(Status::Unhealthy)))
        .max()
        .unwrap_or(Status::Unknown);
    if by_component < Status::Degraded {
        return (by_component, None);
    }
    let unwell: Vec<&ComponentHealth> =
        counted().filter(|component| component.status >= Status::Degraded || blocks(component)).collect();
    let mut reason = names(&unwell);
    match unwell_limit {
        Some(limit) if by_component < Status::Unhealthy && unwell.len() as u64 >= limit => {
            let number = unwell.len();
            let (components, are) = if number == 1 { ("component", "is") } else { ("components", "are") };
            reason = format!(
                "{reason}; {number} {components} {are} not well, and from {limit} on the process is unhealthy"
            );
            (Status::Unhealthy, Some(reason.into()))
        }
        _ => (by_component, Some(reason.into())),
    }
}

/// Whether this component makes the process not ready.
fn blocks(component: &ComponentHealth) -> bool {
    component.critical && !component.serves()
}

/// The components with their statuses, those that block the process first, then the worst.
fn names(unwell: &[&ComponentHealth]) -> String {
    let mut ordered = unwell.to_vec();
    ordered.sort_by_key(|component| std::cmp::Reverse((blocks(component), component.status)));
    let named = ordered.iter().take(NAMED).map(|component| {
        let critical = if component.critical { "the critical component " } else { "" };
        format!("{critical}`{}` is {}", component.name, component.status)
    });
    let mut text = named.collect::<Vec<_>>().join("; ");
    if let more @ 1.. = ordered.len().saturating_sub(NAMED) {
        text = format!("{text}; and {more} more");
    }
    text
}
