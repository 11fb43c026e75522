//! Prometheus, which scrapes every second.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time;

use super::{client, process::Process, tool};

/// How long to wait between two looks at a query.
const POLL: Duration = Duration::from_millis(250);

/// A Prometheus server of the test's own.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    // Stopped before its folder goes.
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a server that scrapes `/metrics` of each target, which is a job's name and its address.
    pub async fn start(targets: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, config_for(targets)).expect("a file in the temporary folder");

        let mut process = Process::start(
            Command::new(tool("prometheus"))
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg("--web.listen-address=127.0.0.1:0")
                .arg("--enable-feature=exemplar-storage")
                .arg("--log.format=logfmt"),
        );
        let log = process.stderr();
        process
            .ready(async || listening(&log.borrow()).is_some())
            .await
            .unwrap_or_else(|why| panic!("{why}"));
        let address = listening(&log.borrow()).expect("the address it has just told");
        let url = format!("http://{address}");
        let ready = format!("{url}/-/ready");
        process
            .ready(async || matches!(client::get(&ready).await, Ok((StatusCode::OK, _))))
            .await
            .unwrap_or_else(|why| panic!("{why}"));
        Self { url, _process: process, _folder: folder }
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `data` that it answers an instant query with: `resultType` and `result`.
    ///
    /// # Panics
    ///
    /// When it refuses the query.
    pub async fn query(&self, promql: &str) -> Value {
        self.ask("query", promql, "").await
    }

    /// The exemplars of the series that a query selects, from the last hour: for each series `seriesLabels` and
    /// `exemplars`.
    ///
    /// # Panics
    ///
    /// When it refuses the query.
    pub async fn exemplars(&self, promql: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.ask("query_exemplars", promql, &format!("&start={}&end={}", now - 3_600, now + 3_600)).await
    }

    async fn ask(&self, what: &str, promql: &str, more: &str) -> Value {
        let uri = format!("{}/api/v1/{what}", self.url);
        let form = format!("query={}{more}", escape(promql));
        let answer = client::post(&uri, "application/x-www-form-urlencoded", form).await;
        let (status, text) = answer.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(status, StatusCode::OK, "{promql}: {text}");
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        answer["data"].take()
    }

    /// The series of an instant vector: its labels and its value.
    pub async fn vector(&self, promql: &str) -> Vec<(Value, f64)> {
        let data = self.query(promql).await;
        let series = data["result"].as_array().unwrap_or_else(|| panic!("{promql} is no vector: {data}"));
        series
            .iter()
            .map(|one| {
                let value = one["value"][1].as_str().and_then(|value| value.parse().ok());
                (one["metric"].clone(), value.unwrap_or_else(|| panic!("{promql} has no value: {one}")))
            })
            .collect()
    }

    /// Asks until the answer is as `wanted`, and gives that answer.
    ///
    /// # Panics
    ///
    /// When `limit` has passed: the last answer.
    pub async fn wait_for(
        &self,
        promql: &str,
        wanted: impl Fn(&[(Value, f64)]) -> bool,
        limit: Duration,
    ) -> Vec<(Value, f64)> {
        let mut last = Vec::new();
        let asking = async {
            loop {
                last = self.vector(promql).await;
                if wanted(&last) {
                    break;
                }
                time::sleep(POLL).await;
            }
        };
        let in_time = time::timeout(limit, asking).await.is_ok();
        assert!(in_time, "{promql} was not as wanted within {limit:?}; the last answer: {last:?}");
        last
    }
}

/// Has `promtool check metrics` judge an exposition.
///
/// # Errors
///
/// What it found fault with.
pub fn promtool_check_metrics(text: &str) -> Result<(), String> {
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start promtool: {error}"))?;
    // It reads all of its input before it writes; taken, so that the input ends here.
    let fed = promtool.stdin.take().expect("a piped stdin").write_all(text.as_bytes());
    let output = promtool.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return fed.map_err(|error| error.to_string());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn config_for(targets: &[(&str, SocketAddr)]) -> String {
    let mut config = String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n");
    for (job, address) in targets {
        write!(config, "  - job_name: {job}\n    static_configs:\n      - targets: ['{address}']\n")
            .expect("a string takes everything");
    }
    config
}

/// The address in the log line that tells it.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
}

/// Percent-encodes all but letters and digits.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(byte.into()),
            _ => write!(escaped, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    escaped
}
