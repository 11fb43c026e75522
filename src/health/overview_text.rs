//! The text of an overview: at most 15 lines, each of limited length.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::snapshot::{Calls, ComponentHealth, HealthSnapshot};
use super::status::Status;
use crate::base::cut::cut;

/// The maximum number of components that are listed by their calls, and of those that are not well.
const COMPONENTS: usize = 4;
/// The maximum number of circuits, and of queues.
const NAMES: usize = 5;
/// The maximum bytes of a line.
const LINE: usize = 300;

/// The parts of an overview.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) ready: bool,
    pub(super) health: &'a HealthSnapshot,
    pub(super) circuits: &'a BTreeMap<String, String>,
    pub(super) letters: &'a BTreeMap<String, u64>,
    pub(super) cpu: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) process_memory: Option<u64>,
}

/// Writes the lines.
pub(super) fn write(parts: Parts<'_>, out: &mut impl Write) -> fmt::Result {
    let mut lines = vec![head(parts)];
    lines.extend(calls(&parts.health.components));
    lines.extend(unwell(&parts.health.components));
    lines.extend(listed("circuits: ", parts.circuits, |name, state| format!("{name} is {state}")));
    lines.extend(listed("letters: ", parts.letters, |name, waiting| format!("{waiting} wait in {name}")));
    lines.extend(machine(parts));
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            out.write_char('\n')?;
        }
        // A name may hold anything, and a line must stay one line.
        let shown = cut(line, LINE);
        shown
            .chars()
            .try_for_each(|letter| out.write_char(if letter.is_control() { ' ' } else { letter }))?;
        if shown.len() < line.len() {
            out.write_char('…')?;
        }
    }
    Ok(())
}

fn head(parts: Parts<'_>) -> String {
    let HealthSnapshot { status, score, reason, .. } = parts.health;
    let service = parts.service.unwrap_or("this process");
    let ready = if parts.ready { "ready" } else { "not ready" };
    let mut head = format!("{service} is {status} (score {score:.2}) and {ready}");
    if let Some(reason) = reason {
        head = format!("{head}: {reason}");
    }
    head
}

/// The calls of all components, then those of the busiest.
#[allow(clippy::cast_precision_loss)] // A share of a count.
fn calls(components: &[ComponentHealth]) -> Vec<String> {
    let called = |component| {
        let ComponentHealth { name, calls, .. }: &ComponentHealth = component;
        calls.as_ref().filter(|calls| calls.recent > 0).map(|calls| (&**name, calls))
    };
    let mut busiest: Vec<(&str, &Calls)> = components.iter().filter_map(called).collect();
    busiest.sort_by_key(|(_, calls)| Reverse(calls.recent));
    let all: u64 = busiest.iter().map(|(_, calls)| calls.recent).sum();
    if all == 0 {
        return vec!["no calls in the last minute".to_owned()];
    }
    let failed: u64 = busiest.iter().map(|(_, calls)| calls.recent_failed).sum();
    let share = failed as f64 / all as f64 * 100.0;
    let mut lines = vec![format!("{all} calls in the last minute, {failed} failed ({share:.1} %)")];
    lines.extend(busiest.iter().take(COMPONENTS).map(|(name, calls)| {
        let Calls { recent, recent_failed, p95, .. } = calls;
        format!("  {name}: {recent} calls, {recent_failed} failed, p95 {p95:.1?}")
    }));
    if let Some(more @ 1..) = busiest.len().checked_sub(COMPONENTS) {
        lines.push(format!("  and {more} more"));
    }
    lines
}

/// The components that are not well, the worst first, each with its most expensive reason.
fn unwell(components: &[ComponentHealth]) -> Vec<String> {
    let mut unwell: Vec<&ComponentHealth> =
        components.iter().filter(|component| component.status >= Status::Degraded).collect();
    unwell.sort_by_key(|component| Reverse((component.critical, component.status)));
    let mut lines: Vec<String> = unwell
        .iter()
        .take(COMPONENTS)
        .map(|component| {
            let ComponentHealth { name, status, reasons, .. } = component;
            match reasons.first() {
                Some(reason) => format!("{name} is {status}: {reason}"),
                None => format!("{name} is {status}"),
            }
        })
        .collect();
    // At the end of the last line, to keep the number of lines.
    if let (Some(more @ 1..), Some(last)) = (unwell.len().checked_sub(COMPONENTS), lines.last_mut()) {
        *last = format!("{} (and {more} more are not well)", cut(last, LINE / 2));
    }
    lines
}

/// One line of several names.
fn listed<T>(title: &str, values: &BTreeMap<String, T>, text: impl Fn(&str, &T) -> String) -> Option<String> {
    let named = values.iter().take(NAMES).map(|(name, value)| text(cut(name, LINE / NAMES / 2), value));
    let named = named.collect::<Vec<_>>().join(", ");
    match values.len().checked_sub(NAMES) {
        _ if values.is_empty() => None,
        Some(more @ 1..) => Some(format!("{title}{named} and {more} more")),
        _ => Some(format!("{title}{named}")),
    }
}

fn machine(parts: Parts<'_>) -> Option<String> {
    let share = |share: f64, what: &str| format!("{:.0} % of the {what}", share * 100.0);
    let machine =
        [parts.cpu.map(|cpu| share(cpu, "processors")), parts.memory.map(|memory| share(memory, "memory"))];
    let machine = machine.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let process = parts.process_memory.map(|bytes| format!("this process: {} MiB", bytes >> 20));
    match (machine.is_empty(), process) {
        (true, process) => process,
        (false, None) => Some(format!("machine: {machine}")),
        (false, Some(process)) => Some(format!("machine: {machine}; {process}")),
    }
}
