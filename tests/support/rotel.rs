//! Rotel, an OpenTelemetry collector that prints the data that it receives.

use std::{collections::BTreeMap, net::SocketAddr, process::Command, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpStream, sync::watch, time};

use super::{ports, process::Process, tool};

/// How many times to start with other ports if another process has taken the port.
const STARTS: usize = 5;

/// A pause in the output ends an export. Waits for such a pause at most this many times.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSES: usize = 40;

/// A collector of one test.
#[derive(Debug)]
pub struct Rotel {
    grpc: SocketAddr,
    http: SocketAddr,
    output: watch::Receiver<String>,
    // Before `_folder`: the process ends before its folder is removed.
    _process: Process,
    _folder: TempDir,
}

impl Rotel {
    /// Starts a collector for OTLP over gRPC and over HTTP.
    pub async fn start() -> Self {
        let mut why = String::new();
        for _ in 0..STARTS {
            match Self::try_start().await {
                Ok(rotel) => return rotel,
                Err(error) => why = error,
            }
        }
        panic!("{why}");
    }

    async fn try_start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // Rotel cannot choose free ports itself.
        let [grpc, http] = ports::free();
        let mut process = Process::start(
            Command::new(tool("rotel-agent"))
                .arg("start")
                .arg("--pid-file")
                .arg(folder.path().join("pid"))
                .arg("--log-file")
                .arg(folder.path().join("log"))
                .args(["--otlp-grpc-endpoint", &grpc.to_string(), "--otlp-http-endpoint", &http.to_string()])
                .args(["--exporter", "blackhole", "--debug-log-verbosity", "detailed"])
                .args(["--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs"]),
        );
        process
            .ready(async || TcpStream::connect(grpc).await.is_ok() && TcpStream::connect(http).await.is_ok())
            .await?;
        Ok(Self { grpc, http, output: process.stdout(), _process: process, _folder: folder })
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT` for the protocol `grpc`.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT` for the protocol `http/protobuf`. The paths are `/v1/traces`, `/v1/metrics`
    /// and `/v1/logs`.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The address for the protocol `grpc` or `http/protobuf`, without TLS.
    pub fn address(&self, protocol: &str) -> SocketAddr {
        if protocol == "grpc" { self.grpc } else { self.http }
    }

    /// The data that it has received so far.
    pub fn received(&self) -> Received {
        Received::parse(&self.output.borrow())
    }

    /// Waits until `wanted` accepts the received data, and returns the data.
    ///
    /// # Panics
    ///
    /// After `limit`, with the output of the collector.
    pub async fn wait_for(&self, wanted: impl Fn(&Received) -> bool, limit: Duration) -> Received {
        let mut output = self.output.clone();
        let waiting = async {
            loop {
                // After a pause, the last export is printed completely.
                for _ in 0..PAUSES {
                    if time::timeout(PAUSE, output.changed()).await.is_err() {
                        break;
                    }
                }
                let received = Received::parse(&output.borrow_and_update());
                if wanted(&received) {
                    return Some(received);
                }
                output.changed().await.ok()?;
            }
        };
        match time::timeout(limit, waiting).await {
            Ok(Some(received)) => received,
            _ => panic!(
                "the collector did not receive what was wanted within {limit:?}; it printed:\n{}",
                *self.output.borrow()
            ),
        }
    }
}

/// Attributes by key. Values are as Rotel prints them, without their types.
pub type Attributes = BTreeMap<String, String>;

/// The data that a collector received, in order.
#[derive(Debug, Default)]
pub struct Received {
    /// The spans.
    pub spans: Vec<Span>,
    /// The metrics of each export.
    pub metrics: Vec<Metric>,
    /// The log records.
    pub logs: Vec<Log>,
    /// The output that this was read from.
    pub text: String,
}

/// A span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// The trace id, in hexadecimal.
    pub trace_id: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// The id of its parent. Empty for a root.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// Such as `SPAN_KIND_SERVER`.
    pub kind: String,
    /// Such as `STATUS_CODE_ERROR`. Empty without a status.
    pub status: String,
    /// The description of the status.
    pub status_message: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its events.
    pub events: Vec<Event>,
    /// The span ids that it links to.
    pub links: Vec<String>,
    /// The attributes of its resource.
    pub resource: Attributes,
}

/// An event of a span.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: Attributes,
}

/// A metric in one export.
#[derive(Clone, Debug, Default)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Such as `Sum`, `Gauge` or `Histogram`.
    pub kind: String,
    /// Its points.
    pub points: Vec<Point>,
    /// The attributes of its resource.
    pub resource: Attributes,
}

/// A log record.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The name of its scope.
    pub scope: String,
    /// Such as `INFO`.
    pub severity: String,
    /// Its body.
    pub body: String,
    /// The trace id, in hexadecimal. Empty without a trace.
    pub trace_id: String,
    /// The span id, in hexadecimal. Empty without a span.
    pub span_id: String,
    /// The flags of the trace.
    pub flags: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// The attributes of its resource.
    pub resource: Attributes,
}

/// A point of a metric.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Its attributes.
    pub attributes: Attributes,
    /// The value of a sum or a gauge.
    pub value: Option<f64>,
    /// The number of values in a histogram.
    pub count: Option<u64>,
    /// The sum of the values in a histogram.
    pub sum: Option<f64>,
}

impl Received {
    /// Parses the output of the collector. Other lines, such as its own log, are ignored.
    pub fn parse(text: &str) -> Self {
        let mut received = Self { text: text.to_owned(), ..Self::default() };
        let mut resource = Attributes::new();
        let (mut part, mut scope) = (Part::Other, String::new());
        for line in text.lines() {
            if let Some(next) = Part::opened_by(line) {
                // Attributes of links have the same heading as those of events.
                part = match (part, next) {
                    (Part::Link, Part::EventAttributes) => Part::Other,
                    // Attributes of log records have the same heading as those of spans.
                    (Part::Log, Part::SpanAttributes) => Part::LogAttributes,
                    _ => next,
                };
                match part {
                    Part::NewResource => resource.clear(),
                    Part::Span => received.spans.push(Span { resource: resource.clone(), ..Span::default() }),
                    Part::Metric => {
                        received.metrics.push(Metric { resource: resource.clone(), ..Metric::default() });
                    }
                    Part::Log => {
                        let (scope, resource) = (scope.clone(), resource.clone());
                        received.logs.push(Log { scope, resource, ..Log::default() });
                    }
                    Part::Point => {
                        if let Some(metric) = received.metrics.last_mut() {
                            metric.points.push(Point::default());
                        }
                    }
                    _ => {}
                }
            } else if let Some(named) = line.strip_prefix("InstrumentationScope ") {
                named.split(' ').next().unwrap_or_default().clone_into(&mut scope);
            } else if let Some((key, value)) = line.trim().trim_start_matches("-> ").split_once(": ") {
                // Names of fields are padded. The value may be empty.
                received.read(part, key.trim_end(), value, &mut resource);
            }
        }
        received
    }

    fn read(&mut self, part: Part, key: &str, value: &str, resource: &mut Attributes) {
        let attribute = || (key.to_owned(), without_type(value).to_owned());
        if part == Part::Resource {
            resource.extend([attribute()]);
        } else if let (Part::Span, Some(span)) = (part, self.spans.last_mut()) {
            match key {
                "Trace ID" => &mut span.trace_id,
                "Parent ID" => &mut span.parent_id,
                "ID" => &mut span.id,
                "Name" => &mut span.name,
                "Kind" => &mut span.kind,
                "Status code" => &mut span.status,
                "Status message" => &mut span.status_message,
                _ => return,
            }
            .push_str(value);
        } else if let (Part::SpanAttributes, Some(span)) = (part, self.spans.last_mut()) {
            span.attributes.extend([attribute()]);
        } else if let (Part::Event, "Name", Some(span)) = (part, key, self.spans.last_mut()) {
            span.events.push(Event { name: value.to_owned(), ..Event::default() });
        } else if let (Part::EventAttributes, Some(span)) = (part, self.spans.last_mut()) {
            if let Some(event) = span.events.last_mut() {
                event.attributes.extend([attribute()]);
            }
        } else if let (Part::Link, "ID", Some(span)) = (part, key, self.spans.last_mut()) {
            span.links.push(value.to_owned());
        } else if let (Part::Log | Part::LogAttributes, Some(log)) = (part, self.logs.last_mut()) {
            match (part, key) {
                (_, "Trace ID") => &mut log.trace_id,
                (_, "Span ID") => &mut log.span_id,
                (_, "Flags") => &mut log.flags,
                (Part::Log, "SeverityText") => &mut log.severity,
                (Part::Log, "Body") => &mut log.body,
                (Part::LogAttributes, _) => return log.attributes.extend([attribute()]),
                _ => return,
            }
            .push_str(without_type(value));
        } else if let (Part::Metric, Some(metric)) = (part, self.metrics.last_mut()) {
            match key {
                "Name" => &mut metric.name,
                "Unit" => &mut metric.unit,
                "DataType" => &mut metric.kind,
                _ => return,
            }
            .push_str(value);
        } else if let Some(point) = self.metrics.last_mut().and_then(|metric| metric.points.last_mut()) {
            match (part, key) {
                (Part::PointAttributes, "StartTimestamp" | "Timestamp") => {}
                (Part::Point | Part::PointAttributes, "Value") => point.value = value.parse().ok(),
                (Part::Point | Part::PointAttributes, "Count") => point.count = value.parse().ok(),
                (Part::Point | Part::PointAttributes, "Sum") => point.sum = value.parse().ok(),
                (Part::PointAttributes, _) => point.attributes.extend([attribute()]),
                _ => {}
            }
        }
    }

    /// The first span of that name.
    pub fn span(&self, name: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.name == name)
    }

    /// The latest export of the metric.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().rev().find(|metric| metric.name == name)
    }
}

/// The part of the output to which a line belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    NewResource,
    Resource,
    Span,
    SpanAttributes,
    Event,
    EventAttributes,
    Link,
    Metric,
    Point,
    PointAttributes,
    Log,
    LogAttributes,
    Other,
}

impl Part {
    /// The part that starts at this line, if it is a heading.
    fn opened_by(line: &str) -> Option<Self> {
        Some(match line.split_once(" #").map_or(line, |(heading, _)| heading) {
            "ResourceSpans" | "ResourceMetrics" | "ResourceLog" => Self::NewResource,
            "Resource attributes:" => Self::Resource,
            "Span" => Self::Span,
            "Attributes:" => Self::SpanAttributes,
            "SpanEvent" => Self::Event,
            "     -> Attributes::" => Self::EventAttributes,
            "SpanLink" => Self::Link,
            "Metric" => Self::Metric,
            "LogRecord" => Self::Log,
            "NumberDataPoints" | "HistogramDataPoints" | "ExponentialHistogramDataPoints" => Self::Point,
            "Data point attributes:" => Self::PointAttributes,
            "ScopeSpans" | "ScopeMetrics" | "ScopeLogs" | "SummaryDataPoints" | "Exemplars:" => Self::Other,
            _ => return None,
        })
    }
}

/// The inner text of a value with a type: `bell` of `Str(bell)`.
fn without_type(value: &str) -> &str {
    value.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(value)
}
