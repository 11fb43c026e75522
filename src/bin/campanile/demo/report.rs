//! The report at the end, as text and as JSON.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use campanile::breaker::{BreakerSnapshot, Transition};
use campanile::health::{CheckReport, HealthSnapshot, Status};
use campanile::sampler::SystemSnapshot;
use campanile::{CircuitState, TimingSnapshot};
use serde::Serialize;

/// The results of a demonstration.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) interrupted: bool,
    pub(crate) took: Duration,
    pub(crate) orders: Orders,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) retries: u64,
    /// Failures that were not retried, by reason.
    pub(crate) given_up: Vec<(String, u64)>,
    pub(crate) breaker: BreakerSnapshot,
    /// With the time since the start.
    pub(crate) transitions: Vec<(Duration, Transition)>,
    pub(crate) payments: TimingSnapshot,
    pub(crate) errors: Vec<(String, u64)>,
    pub(crate) health: HealthSnapshot,
    /// The check of `payments`.
    pub(crate) check: Arc<CheckReport>,
    pub(crate) system: SystemSnapshot,
    pub(crate) spans: u64,
    pub(crate) letters_at: Option<String>,
    pub(crate) refused: Vec<(String, String)>,
}

/// Numbers of orders by their fate.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Orders {
    pub(crate) sent: u64,
    /// Charged while the customer waited.
    pub(crate) succeeded: u64,
    /// Parked as dead letters.
    pub(crate) parked: u64,
    /// Charged by the redrive of the dead letters.
    pub(crate) redriven: u64,
    /// Never charged.
    pub(crate) lost: u64,
}

impl Orders {
    /// Whether sent = succeeded + parked, and every order is charged in the end.
    pub(crate) fn add_up(&self) -> bool {
        self.sent == self.succeeded + self.parked && self.redriven == self.parked && self.lost == 0
    }
}

#[derive(Serialize)]
struct JsonReport<'a> {
    #[serde(flatten)]
    orders: Orders,
    retries: u64,
    breaker_transitions: usize,
    spans: u64,
    health: Status,
    components: Vec<ComponentLine<'a>>,
}

#[derive(Serialize)]
struct ComponentLine<'a> {
    name: &'a str,
    score: f64,
    status: Status,
}

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const FAIR: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

fn colour_of(status: Status) -> Style {
    match status {
        Status::Healthy => GOOD,
        Status::Degraded => FAIR,
        Status::Unhealthy | Status::Critical => BAD,
        _ => DIM,
    }
}

fn colour_of_state(state: CircuitState) -> Style {
    match state {
        CircuitState::Closed => GOOD,
        CircuitState::HalfOpen => FAIR,
        _ => BAD,
    }
}

impl Report {
    /// The report as one line of JSON.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&JsonReport {
            orders: self.orders,
            retries: self.retries,
            breaker_transitions: self.transitions.len(),
            spans: self.spans,
            health: self.health.status,
            components: self
                .health
                .components
                .iter()
                .map(|component| ComponentLine {
                    name: &component.name,
                    score: component.score,
                    status: component.status,
                })
                .collect(),
        })
    }

    /// The report as text with colours.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.write_orders(out)?;
        self.write_calls(out)?;
        self.write_breaker(out)?;
        self.write_health(out)?;
        self.write_machine(out)?;
        self.write_verdict(out)
    }

    fn write_orders(&self, out: &mut String) -> fmt::Result {
        let Orders { sent, succeeded, parked, redriven, lost } = self.orders;
        let seconds = self.took.as_secs_f64();
        title(out, "Orders")?;
        row(out, "sent", format_args!("{sent} in {seconds:.1} s"))?;
        row(
            out,
            "charged at once",
            format_args!("{GOOD}{succeeded}{GOOD:#} ({:.1} %)", percent(succeeded, sent)),
        )?;
        row(
            out,
            "parked",
            format_args!("{FAIR}{parked}{FAIR:#} as dead letters, each before its customer got an answer"),
        )?;
        row(out, "redriven", format_args!("{GOOD}{redriven}{GOOD:#} charged after the recovery"))?;
        let style = if lost == 0 { GOOD } else { BAD };
        row(out, "lost", format_args!("{style}{lost}{style:#}"))?;
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        if let (Some(min), Some(max)) = (sorted.first(), sorted.last()) {
            let mean =
                sorted.iter().sum::<Duration>() / u32::try_from(sorted.len()).unwrap_or(u32::MAX).max(1);
            let p95 = sorted[(sorted.len() * 95).div_ceil(100).saturating_sub(1)];
            row(
                out,
                "response time",
                format_args!("min {} · mean {} · p95 {} · max {}", ms(*min), ms(mean), ms(p95), ms(*max)),
            )?;
        }
        for (order, reason) in self.refused.iter().take(5) {
            row(out, "failed", format_args!("{BAD}{order}: {reason}{BAD:#}"))?;
        }
        Ok(())
    }

    fn write_calls(&self, out: &mut String) -> fmt::Result {
        title(out, "Calls to payments")?;
        let payments = &self.payments;
        row(
            out,
            "attempts",
            format_args!(
                "{}, of which {} failed · p50 {} · p95 {} · p99 {}",
                payments.calls,
                payments.failed,
                ms(payments.p50),
                ms(payments.p95),
                ms(payments.p99)
            ),
        )?;
        let given_up: Vec<String> = self
            .given_up
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(why, count)| format!("{why} {count}"))
            .collect();
        let given_up = if given_up.is_empty() { "none".to_owned() } else { given_up.join(" · ") };
        row(out, "retries", format_args!("{} · failures not retried: {given_up}", self.retries))?;
        row(
            out,
            "rejected",
            format_args!("{} by the circuit, without a call", self.breaker.totals.rejected),
        )?;
        for (place, (error, count)) in self.errors.iter().take(5).enumerate() {
            row(out, if place == 0 { "top errors" } else { "" }, format_args!("{count:>5} × {error}"))?;
        }
        Ok(())
    }

    fn write_breaker(&self, out: &mut String) -> fmt::Result {
        let changes = self.transitions.len();
        title(
            out,
            &format!(
                "Circuit `{}`: {changes} changes of state, now {}",
                self.breaker.name, self.breaker.state
            ),
        )?;
        const SHOWN: usize = 24;
        for (at, transition) in self.transitions.iter().take(SHOWN) {
            let style = colour_of_state(transition.to);
            row(
                out,
                &format!("{:.2} s", at.as_secs_f64()),
                format_args!("{style}{:<9}{style:#} {DIM}{}{DIM:#}", transition.to, transition.cause),
            )?;
        }
        if changes > SHOWN {
            row(out, "", format_args!("{DIM}and {} more{DIM:#}", changes - SHOWN))?;
        }
        Ok(())
    }

    fn write_health(&self, out: &mut String) -> fmt::Result {
        title(out, "Health after the last order, before the redrive")?;
        for component in &self.health.components {
            let style = colour_of(component.status);
            row(
                out,
                &component.name,
                format_args!("{style}{:.2} {}{style:#}", component.score, component.status),
            )?;
            for reason in &component.reasons {
                row(out, "", format_args!("{DIM}-{:.2}  {}{DIM:#}", reason.cost, reason.text))?;
            }
        }
        let CheckReport { runs, failures, last, .. } = &*self.check;
        row(
            out,
            "check of payments",
            format_args!("{runs} runs, of which {failures} failed · last: {last}"),
        )?;
        Ok(())
    }

    fn write_machine(&self, out: &mut String) -> fmt::Result {
        title(out, "Machine")?;
        if let Some(share) = self.system.cpu_utilization {
            let by_mode = self.system.cpu.map_or_else(String::new, |cpu| {
                format!(
                    " · programs {:.0} %, kernel {:.0} %",
                    (cpu.user + cpu.nice) * 100.0,
                    cpu.system * 100.0
                )
            });
            row(
                out,
                "CPU",
                format_args!("{:.0} % of {} processors busy{by_mode}", share * 100.0, self.system.cpus),
            )?;
        }
        if let Some(memory) = &self.system.memory {
            let share = percent(memory.used, memory.limit);
            row(
                out,
                "memory",
                format_args!("{} of {} ({share:.0} %)", bytes(memory.used), bytes(memory.limit)),
            )?;
        }
        for disk in self.system.file_systems.iter().filter(|disk| !disk.read_only).take(3) {
            let share = disk.utilization() * 100.0;
            row(
                out,
                "disk",
                format_args!("{} free on {} ({share:.0} % used)", bytes(disk.free), disk.mount_point),
            )?;
        }
        if let Some([one, five, fifteen]) = self.system.load {
            row(out, "load", format_args!("{one:.2} · {five:.2} · {fifteen:.2}"))?;
        }
        if let Some(process) = &self.system.process {
            let cpu = process.cpu_time.as_secs_f64();
            let memory = process.memory.unwrap_or_default();
            row(out, "this process", format_args!("{cpu:.2} s of CPU · {} resident", bytes(memory)))?;
        }
        row(out, "spans", format_args!("{} started", self.spans))?;
        if let Some(path) = &self.letters_at {
            row(out, "dead letters", format_args!("kept in {path}"))?;
        }
        Ok(())
    }

    fn write_verdict(&self, out: &mut String) -> fmt::Result {
        let orders = self.orders;
        out.push('\n');
        if self.interrupted {
            writeln!(out, "{FAIR}Interrupted: the demonstration ended early.{FAIR:#}")?;
        }
        if orders.add_up() {
            writeln!(
                out,
                "{GOOD}{HEAD}Every order is accounted for: {} sent = {} charged at once + {} parked, {} redriven, 0 lost.{HEAD:#}{GOOD:#}",
                orders.sent, orders.succeeded, orders.parked, orders.redriven
            )
        } else {
            writeln!(
                out,
                "{BAD}{HEAD}The orders do not add up: {} sent, {} charged at once, {} parked, {} redriven, {} lost.{HEAD:#}{BAD:#}",
                orders.sent, orders.succeeded, orders.parked, orders.redriven, orders.lost
            )
        }
    }
}

fn title(out: &mut String, text: &str) -> fmt::Result {
    writeln!(out, "\n{HEAD}{text}{HEAD:#}")
}

fn row(out: &mut String, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(out, "  {name:<17} {value}")
}

#[allow(clippy::cast_precision_loss)] // Rounded for display anyway.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}

fn ms(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1_000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

#[allow(clippy::cast_precision_loss)] // Rounded for display anyway.
fn bytes(count: u64) -> String {
    let count = count as f64;
    if count >= 1e9 { format!("{:.1} GB", count / 1e9) } else { format!("{:.0} MB", count / 1e6) }
}
