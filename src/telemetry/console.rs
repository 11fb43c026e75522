//! Logs for the console, for people or for machines, with the ids of their trace and span.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::SpanContext;
use opentelemetry::{Context as OtelContext, StringValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::console_fields::{HumanFields, JsonFields, JsonVisitor};
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

impl<'a> MakeWriter<'a> for Output {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        (self.writer)()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
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
    let (output, core) = (output.clone(), Arc::clone(core));
    let layer = tracing_subscriber::fmt::layer();
    match console {
        Console::Off => None,
        Console::Human => {
            let fields = HumanFields { core: Arc::clone(&core) };
            let layer = layer.with_ansi(output.ansi).fmt_fields(fields).event_format(Human { core });
            Some(Box::new(layer.with_writer(output)))
        }
        Console::Json => {
            let fields = JsonFields { core: Arc::clone(&core) };
            let layer = layer.with_ansi(false).fmt_fields(fields).event_format(Json { core });
            Some(Box::new(layer.with_writer(output)))
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

fn timestamp() -> impl fmt::Display {
    humantime::format_rfc3339_micros(SystemTime::now())
}

// ===== impl Human =====

struct Human {
    core: Arc<Core>,
}

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let (dim, plain) = if out.has_ansi_escapes() { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        write!(out, "{dim}{}{plain} ", timestamp())?;
        match (out.has_ansi_escapes(), *metadata.level()) {
            (false, level) => write!(out, "{level:>5} ")?,
            (true, level) => write!(out, "\u{1b}[{}m{level:>5}{plain} ", colour(level))?,
        }
        for span in cx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            write!(out, "{}", span.name())?;
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>().filter(|it| !it.is_empty()) {
                write!(out, "{{{fields}}}")?;
            }
            out.write_str(": ")?;
        }
        write!(out, "{dim}{}:{plain} ", metadata.target())?;
        cx.field_format().format_fields(out.by_ref(), event)?;
        if let Some(ids) = ids(&self.core, cx) {
            write!(out, " {dim}trace_id={} span_id={}{plain}", ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(&self.core, event) {
            write!(out, " {dim}{}={id}{plain}", correlation::FIELD)?;
        }
        writeln!(out)
    }
}

/// The id of the request that `event` belongs to.
fn correlation_id(core: &Core, event: &Event<'_>) -> Option<StringValue> {
    // While OpenTelemetry changes its context, and logs about that, nobody may look at it.
    let own = of_the_pipeline(event.metadata().target());
    if own { None } else { OtelContext::map_current(|context| correlation::shown(context, &core.secrets)) }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

// ===== impl Json =====

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
        let mut fields = JsonVisitor::new(&self.core.secrets);
        event.record(&mut fields);
        let mut fields = fields.fields;
        let message = fields.remove("message").unwrap_or_default();
        write!(
            out,
            r#"{{"timestamp":"{}","level":"{}","target":{},"message":{message}"#,
            timestamp(),
            metadata.level(),
            Value::from(metadata.target()),
        )?;
        if let Some(ids) = ids(&self.core, cx) {
            write!(out, r#","trace_id":"{}","span_id":"{}""#, ids.trace_id(), ids.span_id())?;
        }
        if let Some(id) = correlation_id(&self.core, event) {
            write!(out, r#","{}":{}"#, correlation::FIELD, Value::from(id.as_str()))?;
        }
        if !fields.is_empty() {
            write!(out, r#","fields":{}"#, Value::Object(fields))?;
        }
        let spans: Vec<Value> = cx
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<JsonFields>>();
                // Parsed again, so that a field that was recorded twice stands there once.
                let mut object: Map<String, Value> = fields
                    .and_then(|fields| serde_json::from_str(&format!("{{{}}}", fields.fields)).ok())
                    .unwrap_or_default();
                object.insert("name".to_owned(), span.name().into());
                Value::Object(object)
            })
            .collect();
        if !spans.is_empty() {
            write!(out, r#","spans":{}"#, Value::Array(spans))?;
        }
        writeln!(out, "}}")
    }
}
