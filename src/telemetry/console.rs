//! Logs for the console, for people or for machines, with the ids of their trace and span.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use opentelemetry::{Context as OtelContext, StringValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, format};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::console_fields::{HumanFields, JsonFields, json};
use super::core::Core;
use super::correlation;
use super::red::of_the_pipeline;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Console {
    /// Not at all.
    Off,
    /// For people: a line each, coloured on a terminal unless `NO_COLOR` is set.
    #[default]
    Human,
    /// For machines: a JSON object on a line each, with `timestamp`, `level`, `target`, `message`, `trace_id`,
    /// `span_id`, `correlation_id`, `fields` and `spans`, the outermost first.
    Json,
}

/// Where logs go: standard error, unless the builder says otherwise.
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

/// The layer that writes logs as `console` says; nothing for [`Console::Off`].
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
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer());
    match console {
        Console::Off => None,
        Console::Human => {
            let fields = HumanFields { core: Arc::clone(&core) };
            let format = format().with_ansi(ansi);
            Some(Box::new(layer.with_ansi(ansi).fmt_fields(fields).event_format(Human { format, core })))
        }
        Console::Json => {
            let fields = JsonFields { core: Arc::clone(&core) };
            Some(Box::new(layer.with_ansi(false).fmt_fields(fields).event_format(Json { core })))
        }
    }
}

/// The ids of the span that an event happened in.
fn ids<S, N>(core: &Core, cx: &FmtContext<'_, S, N>) -> Option<SpanContext>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    cx.event_scope()?.find_map(|span| core.spans.with(span.id().into_u64(), |live| live.context.clone()))
}

/// The id of the request that `event` belongs to.
fn correlation_id(core: &Core, event: &Event<'_>) -> Option<StringValue> {
    // While OpenTelemetry changes its context, and logs about that, the context cannot be read.
    let own = of_the_pipeline(event.metadata().target());
    if own { None } else { OtelContext::map_current(|context| correlation::shown(context, &core.secrets)) }
}

// ===== impl Human =====

/// The format of `tracing-subscriber`, with the ids at the end of the line.
struct Human {
    format: Format,
    core: Arc<Core>,
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
        let mut line = String::with_capacity(256);
        self.format.format_event(cx, Writer::new(&mut line), event)?;
        out.write_str(line.strip_suffix('\n').unwrap_or(&line))?;
        let (dim, plain) = if out.has_ansi_escapes() { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        if let Some(ids) = ids(&self.core, cx) {
            write!(out, " {dim}trace_id={} span_id={}{plain}", ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(&self.core, event) {
            write!(out, " {dim}{}={id}{plain}", correlation::FIELD)?;
        }
        writeln!(out)
    }
}

// ===== impl Json =====

/// One object a line.
///
/// Not the `Json` format of `tracing-subscriber`: it serializes the fields of an event without asking the formatter of
/// fields, so that secrets would be shown, and has no place for ids.
struct Json {
    core: Arc<Core>,
}

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, JsonFields>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = json(&self.core, Map::new(), event);
        let message = fields.remove("message").unwrap_or_default();
        out.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut out)?;
        let target = Value::from(metadata.target());
        write!(out, r#"","level":"{}","target":{target},"message":{message}"#, metadata.level())?;
        if let Some(ids) = ids(&self.core, cx) {
            write!(out, r#","trace_id":"{}","span_id":"{}""#, ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(&self.core, event) {
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
