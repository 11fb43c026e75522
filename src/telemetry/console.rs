//! Logs on the console, as lines for people or as JSON, with trace and span ids.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::sync::Arc;

use opentelemetry::{Context as OtelContext, StringValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::console_fields::{HumanFields, JsonFields, human, json, one_line};
use super::console_ids::ConsoleIds;
use super::core::Core;
use super::correlation;
use super::origin::{self, Origin, is_own_target};
use super::span_layer::SpanLayer;

/// The format of logs on the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Console {
    /// No logs on the console.
    Off,
    /// A line per event, with colours on a terminal unless `NO_COLOR` is set.
    #[default]
    Human,
    /// A JSON object per event, on a line: `timestamp`, `level`, `target`, `message`, `trace_id`, `span_id`,
    /// `correlation_id`, `fields` and `spans`, the outermost span first.
    Json,
}

/// Where logs are written: standard error, unless the builder sets another writer.
#[derive(Clone)]
pub(super) struct Output {
    writer: Arc<dyn Fn() -> Box<dyn io::Write> + Send + Sync>,
    ansi: bool,
}

impl Default for Output {
    fn default() -> Self {
        let ansi =
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { writer: Arc::new(|| Box::new(io::stderr())), ansi }
    }
}

impl Output {
    pub(super) fn new<W: io::Write + 'static>(writer: impl Fn() -> W + Send + Sync + 'static) -> Self {
        Self { writer: Arc::new(move || Box::new(writer())), ansi: false }
    }
}

/// The layer that writes logs in the format `console`. `None` for [`Console::Off`].
pub(super) fn layer<S>(
    console: Console,
    output: &Output,
    core: &Arc<Core>,
) -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Output { writer, ansi } = output.clone();
    let core = Arc::clone(core);
    let ids = ConsoleIds::new(Arc::clone(&core));
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer());
    match console {
        Console::Off => None,
        Console::Human => {
            let layer = layer.with_ansi(ansi).fmt_fields(HumanFields { core });
            Some(Box::new(layer.event_format(Human { ids: ids.clone() }).and_then(ids)))
        }
        Console::Json => {
            let layer = layer.with_ansi(false).fmt_fields(JsonFields { core });
            Some(Box::new(layer.event_format(Json { ids: ids.clone() }).and_then(ids)))
        }
    }
}

/// The correlation id of the request in which an event with this target occurred.
fn correlation_id(core: &Core, target: &str) -> Option<StringValue> {
    // OpenTelemetry's context cannot be read while OpenTelemetry changes it and logs that.
    let own = is_own_target(target);
    if own { None } else { OtelContext::map_current(|context| correlation::shown(context, &core.secrets)) }
}

// ===== impl ConsoleIds =====

impl<S: Subscriber> Layer<S> for ConsoleIds {
    fn on_layer(&mut self, subscriber: &mut S) {
        if let Some(layer) = (subscriber as &dyn Subscriber).downcast_ref::<SpanLayer>() {
            self.set_layer(&layer.core, layer.number());
        }
    }

    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        if let Some(layer) = dispatch.downcast_ref::<SpanLayer>() {
            self.set_layer(&layer.core, layer.number());
        }
    }
}

// ===== impl Human =====

/// Lines like those of `tracing-subscriber`, with the ids at the end.
///
/// The `Format` of `tracing-subscriber` is not used. It takes the target of an event from the callsite, which is the same for
/// all events of the `log` crate, unless a feature is on that brings two more crates.
struct Human {
    ids: ConsoleIds,
}

/// The escape codes of a line, which are empty without a terminal.
#[derive(Clone, Copy)]
struct Style {
    bold: &'static str,
    dim: &'static str,
    level: &'static str,
    plain: &'static str,
}

impl Style {
    const NONE: Self = Self { bold: "", dim: "", level: "", plain: "" };

    fn new(level: Level, terminal: bool) -> Self {
        if !terminal {
            return Self::NONE;
        }
        let level = match level {
            Level::TRACE => "\u{1b}[35m",
            Level::DEBUG => "\u{1b}[34m",
            Level::INFO => "\u{1b}[32m",
            Level::WARN => "\u{1b}[33m",
            Level::ERROR => "\u{1b}[31m",
        };
        Self { bold: "\u{1b}[1m", dim: "\u{1b}[2m", level, plain: "\u{1b}[0m" }
    }
}

impl<S> FormatEvent<S, HumanFields> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, HumanFields>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let core = self.ids.core();
        let metadata = event.metadata();
        let call = origin::log_call(event, &core.secrets);
        let target = Origin::new(metadata, call.as_ref()).target;
        let Style { bold, dim, level, plain } = Style::new(*metadata.level(), out.has_ansi_escapes());
        out.write_str(dim)?;
        if SystemTime.format_time(&mut out).is_err() {
            out.write_str("<unknown time>")?;
        }
        write!(out, "{plain} {level}{:>5}{plain} ", metadata.level().as_str())?;
        let mut before = "";
        for span in cx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            write!(out, "{bold}{}{plain}", span.name())?;
            let extensions = span.extensions();
            match extensions.get::<FormattedFields<HumanFields>>() {
                Some(fields) if !fields.is_empty() => {
                    write!(out, "{bold}{{{plain}{fields}{bold}}}{plain}")?;
                }
                _ => {}
            }
            write!(out, "{dim}:{plain}")?;
            before = " ";
        }
        write!(out, "{before}{dim}{}{plain}{dim}:{plain} ", one_line(target))?;
        human(core, out.by_ref(), event, call.is_some())?;
        if let Some(ids) = self.ids.of(cx) {
            write!(out, " {dim}trace_id={} span_id={}{plain}", ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(core, target) {
            write!(out, " {dim}{}={id}{plain}", correlation::FIELD)?;
        }
        writeln!(out)
    }
}

// ===== impl Json =====

/// One JSON object per line.
///
/// The `Json` format of `tracing-subscriber` is not used. It serializes the fields of an event without the field formatter,
/// so secrets would be shown, and it has no place for ids.
struct Json {
    ids: ConsoleIds,
}

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, JsonFields>,
        out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut out = Escaped(out);
        let core = self.ids.core();
        let metadata = event.metadata();
        let call = origin::log_call(event, &core.secrets);
        let origin = Origin::new(metadata, call.as_ref());
        let mut fields = json(core, Map::new(), event, call.is_some());
        let message = fields.remove("message").unwrap_or_default();
        out.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut out.0)?;
        let target = Value::from(origin.target);
        write!(out, r#"","level":"{}","target":{target},"message":{message}"#, metadata.level())?;
        if let Some(ids) = self.ids.of(cx) {
            write!(out, r#","trace_id":"{}","span_id":"{}""#, ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(core, origin.target) {
            write!(out, r#","{}":{}"#, correlation::FIELD, Value::from(id.as_str()))?;
        }
        if !fields.is_empty() {
            write!(out, r#","fields":{}"#, Value::Object(fields))?;
        }
        let mut before = r#","spans":["#;
        for span in cx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            write!(out, r#"{before}{{"name":{}"#, Value::from(span.name()))?;
            before = ",";
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            match fields.and_then(|fields| fields.strip_prefix('{')) {
                None | Some("}") => out.write_str("}")?,
                Some(fields) => write!(out, ",{fields}")?,
            }
        }
        out.write_str(if before == "," { "]}\n" } else { "}\n" })
    }
}

/// Escapes the control characters that JSON allows in a string: DEL and U+0080 to U+009F. A terminal may act on them.
///
/// They occur in strings only, so the output stays JSON with the same meaning.
struct Escaped<'a>(Writer<'a>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // `serde_json` has escaped the other ones. The newline at the end of the object must stay.
        while let Some(place) = rest.find(|c: char| matches!(c, '\u{7f}'..='\u{9f}')) {
            let (before, from) = rest.split_at(place);
            let mut chars = from.chars();
            self.0.write_str(before)?;
            if let Some(control) = chars.next() {
                write!(self.0, "\\u{:04x}", u32::from(control))?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use tracing::{error, info, info_span, trace};
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::base::sync::Mutex;
    use crate::telemetry::Telemetry;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        /// The lines without their times.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().clone()).unwrap();
            text.lines().map(|line| line.split_once("Z").unwrap().1.to_owned()).collect()
        }
    }

    #[test]
    fn lines_are_the_same_as_those_of_tracing_subscriber() {
        for ansi in [false, true] {
            let (ours, theirs) = (Sink::default(), Sink::default());
            let telemetry = Telemetry::builder("test").variables(|_| None).build().unwrap();
            let to = ours.clone();
            let writer: Arc<dyn Fn() -> Box<dyn io::Write> + Send + Sync> =
                Arc::new(move || Box::new(to.clone()));
            let core = &telemetry.span_layer().core;
            let to = theirs.clone();
            let subscriber = tracing_subscriber::registry()
                .with(layer(Console::Human, &Output { writer, ansi }, core))
                .with(tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(move || to.clone()));
            tracing::subscriber::with_default(subscriber, || {
                info!("outside");
                let _outer = info_span!("outer").entered();
                trace!(target: "elsewhere", a = 1, b = 1.0, "text");
                let inner = info_span!("inner", id = 7, name = "ada", late = tracing::field::Empty).entered();
                inner.record("late", true);
                error!(error = "boom", debug = ?Some("x"), display = %1);
            });
            assert_eq!(ours.lines(), theirs.lines());
            assert_eq!(ours.lines().len(), 3);
        }
    }
}
