//! A Redis server for tests.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::tls::Authority;
use super::{ports, tool};

/// A separate Redis server for one test.
#[derive(Debug)]
pub struct Redis {
    // Dropped, and so stopped, before its folder.
    process: Option<Process>,
    address: SocketAddr,
    options: Vec<String>,
    /// The authority of the certificates, if the server uses TLS.
    authority: Option<Authority>,
    folder: TempDir,
}

impl Redis {
    /// Starts a server that syncs its append-only file before it answers.
    pub async fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts a server with further options.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_at(false, options).await
    }

    /// Starts a server with TLS, which requires client certificates.
    pub async fn start_with_tls() -> Self {
        Self::start_at(true, &["--appendonly", "yes"]).await
    }

    /// Starts a node of a cluster with these slots.
    pub async fn start_cluster_node(first_slot: u16, last_slot: u16) -> Self {
        let [bus] = ports::free();
        let bus = bus.port().to_string();
        let node =
            Self::start_with(&["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", &bus])
                .await;
        node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first_slot.to_string(), &last_slot.to_string()]);
        node
    }

    /// Starts a cluster of three nodes.
    pub async fn start_cluster() -> [Self; 3] {
        let nodes = [
            Self::start_cluster_node(0, 5_460).await,
            Self::start_cluster_node(5_461, 10_922).await,
            Self::start_cluster_node(10_923, 16_383).await,
        ];
        for other in &nodes[1..] {
            let (port, bus) = (other.address.port().to_string(), &other.options[5]);
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        for node in &nodes {
            node.wait_for(&["CLUSTER", "INFO"], "cluster_state:ok").await;
            node.wait_for(&["CLUSTER", "INFO"], "cluster_known_nodes:3").await;
        }
        nodes
    }

    async fn start_at(tls: bool, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let mut why = String::new();
        for _ in 0..5 {
            let [address] = ports::free();
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut redis =
                Self { process: None, address, options: options.clone(), authority: None, folder };
            redis.authority = tls.then(Authority::new);
            match redis.try_start().await {
                Ok(()) => return redis,
                Err(error) => why = error,
            }
        }
        panic!("{why}");
    }

    async fn try_start(&mut self) -> Result<(), String> {
        let mut command = Command::new(tool("redis-server"));
        let port = self.address.port().to_string();
        command
            .args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--dir"])
            .arg(self.folder.path());
        match &self.authority {
            Some(authority) => {
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "yes"]);
                for (option, file) in [
                    ("--tls-cert-file", "server"),
                    ("--tls-key-file", "server-key"),
                    ("--tls-ca-cert-file", "ca"),
                ] {
                    command.arg(option).arg(authority.file(file));
                }
            }
            None => {
                command.args(["--port", &port]);
            }
        }
        let mut process = Process::start(command.args(&self.options));
        let (address, tls) = (self.address, self.authority.is_some());
        process.ready(async || answers(address, tls)).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Starts the server again, with the same port and data.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let mut why = String::new();
        for _ in 0..20 {
            match self.try_start().await {
                Ok(()) => return,
                // Another process may use the port for a moment.
                Err(error) => why = error,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{why}");
    }

    /// Stops the server. `TERM` lets it close its files, `KILL` does not.
    pub fn stop(&mut self, signal: &str) {
        let mut process = self.process.take().expect("it runs");
        process.signal(signal);
        process.wait();
    }

    /// Suspends the process until [`Redis::resume`].
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal("STOP");
    }

    /// Resumes the process.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal("CONT");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}/", self.address)
    }

    /// The authority of the certificates of a server with TLS.
    pub fn authority(&self) -> &Authority {
        self.authority.as_ref().expect("a server with TLS")
    }

    /// The output of `redis-cli`.
    ///
    /// # Panics
    ///
    /// When `redis-cli` fails.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        let mut command = Command::new(tool("redis-cli"));
        command.args(["-h", "127.0.0.1", "-p", &port, "-e"]);
        if let Some(authority) = &self.authority {
            command.arg("--tls");
            for (option, file) in [("--cacert", "ca"), ("--cert", "client"), ("--key", "client-key")] {
                command.arg(option).arg(authority.file(file));
            }
        }
        let output = command.args(arguments).output().expect("redis-cli runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Repeats a command until its output contains `wanted`.
    pub async fn wait_for(&self, arguments: &[&str], wanted: &str) {
        for _ in 0..600 {
            if self.cli(arguments).contains(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the output of {arguments:?} never contained {wanted}: {}", self.cli(arguments));
    }

    /// The contents of all files in the server's folder.
    pub fn disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders: Vec<PathBuf> = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("its folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(fs::read(path).expect("a file"));
                }
            }
        }
        bytes
    }
}

/// Whether the server answers and has loaded its data.
fn answers(address: SocketAddr, tls: bool) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        if tls {
            return Ok(true);
        }
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    ask().unwrap_or(false)
}
