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

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, status: Status) -> ComponentHealth {
        ComponentHealth {
            name: name.into(),
            status,
            score: 1.0,
            reasons: Vec::new(),
            critical: false,
            optional: false,
            weight: 1.0,
            depends_on: Arc::default(),
            because_of: Vec::new(),
            calls: None,
            letters: None,
            checks: Vec::new(),
            outlook: None,
        }
    }

    fn judged(components: Vec<ComponentHealth>, unwell_limit: Option<u64>) -> (Status, String) {
        let (losses, root_causes) = (Vec::new(), Vec::new());
        let status = Status::Unknown;
        let snapshot = HealthSnapshot { status, reason: None, score: 1.0, losses, root_causes, components };
        let (status, reason) = judge(&snapshot, unwell_limit);
        (status, reason.map(|reason| reason.to_string()).unwrap_or_default())
    }

    #[test]
    fn an_optional_component_does_not_count() {
        let optional = ComponentHealth { optional: true, ..component("cache", Status::Unhealthy) };
        let well = component("db", Status::Healthy);
        assert_eq!(judged(vec![optional, well], Some(1)), (Status::Healthy, String::new()));
    }

    #[test]
    fn the_reason_names_five_components_those_that_block_the_process_first() {
        let degraded = ComponentHealth { critical: true, ..component("till", Status::Degraded) };
        let others = (0..6).map(|number| component(&format!("other-{number}"), Status::Unhealthy));
        let because_of = vec!["other-0".into()];
        let blocks = ComponentHealth { critical: true, because_of, ..component("shop", Status::Unknown) };
        let components = [degraded].into_iter().chain(others).chain([blocks]).collect();
        let reason = "the critical component `shop` is unknown; `other-0` is unhealthy; `other-1` is unhealthy; \
                      `other-2` is unhealthy; `other-3` is unhealthy; and 3 more";
        assert_eq!(judged(components, None), (Status::Unhealthy, reason.to_owned()));
    }
}
