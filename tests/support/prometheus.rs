//! A Prometheus server for tests. It scrapes every second.

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

/// The interval between two queries.
const POLL: Duration = Duration::from_millis(250);

/// A Prometheus server of one test.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    // Before `_folder`: the process ends before its folder is removed.
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a server that scrapes `/metrics` of each target: the name of a job and an address.
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
        let address = listening(&log.borrow()).expect("the log has the address");
        let url = format!("http://{address}");
        let ready = format!("{url}/-/ready");
        process
            .ready(async || matches!(client::get(&ready).await, Ok((StatusCode::OK, _))))
            .await
            .unwrap_or_else(|why| panic!("{why}"));
        Self { url, _process: process, _folder: folder }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The `data` in the answer to an instant query: `resultType` and `result`.
    ///
    /// # Panics
    ///
    /// If the server refuses the query.
    pub async fn query(&self, promql: &str) -> Value {
        self.ask("query", promql, "").await
    }

    /// The exemplars of the last hour of the selected series: `seriesLabels` and `exemplars` for each.
    ///
    /// # Panics
    ///
    /// If the server refuses the query.
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

    /// The series of an instant vector: labels and value of each.
    pub async fn vector(&self, promql: &str) -> Vec<(Value, f64)> {
        let data = self.query(promql).await;
        let series = data["result"].as_array().unwrap_or_else(|| panic!("{promql} is not a vector: {data}"));
        series
            .iter()
            .map(|one| {
                let value = one["value"][1].as_str().and_then(|value| value.parse().ok());
                (one["metric"].clone(), value.unwrap_or_else(|| panic!("{promql} has no value: {one}")))
            })
            .collect()
    }

    /// Queries until `wanted` accepts the answer, and returns it.
    ///
    /// # Panics
    ///
    /// After `limit`, with the last answer.
    pub async fn wait_for(
        &self,
        promql: &str,
        wanted: impl Fn(&[(Value, f64)]) -> bool,
        limit: Duration,
    ) -> Vec<(Value, f64)> {
        let mut last = Vec::new();
        let polling = async {
            loop {
                last = self.vector(promql).await;
                if wanted(&last) {
                    break;
                }
                time::sleep(POLL).await;
            }
        };
        let in_time = time::timeout(limit, polling).await.is_ok();
        assert!(in_time, "no expected answer to {promql} within {limit:?}; the last one: {last:?}");
        last
    }
}

/// Runs `promtool check metrics` on an exposition.
///
/// # Errors
///
/// The complaints of promtool.
pub fn promtool_check_metrics(text: &str) -> Result<(), String> {
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start promtool: {error}"))?;
    // promtool reads all of its input before it writes. `take` closes the input after the write.
    let written = promtool.stdin.take().expect("a piped stdin").write_all(text.as_bytes());
    let output = promtool.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return written.map_err(|error| error.to_string());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn config_for(targets: &[(&str, SocketAddr)]) -> String {
    let mut config = String::from("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n");
    for (job, address) in targets {
        write!(config, "  - job_name: {job}\n    static_configs:\n      - targets: ['{address}']\n")
            .expect("writing to a string cannot fail");
    }
    config
}

/// The listen address in the log.
fn listening(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
}

/// Percent-encodes everything except letters and digits.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(byte.into()),
            _ => write!(escaped, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    escaped
}
