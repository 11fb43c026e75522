/// How full a connection pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Number of open connections, in use or idle.
    pub size: u64,
    /// Number of open connections that are not in use.
    pub idle: u64,
    /// Maximum number of connections.
    pub max: u64,
    /// Number of callers that wait for a connection, if the pool knows it.
    pub waiting: Option<u64>,
}

impl PoolState {
    pub(super) fn in_use(&self) -> u64 {
        self.size.saturating_sub(self.idle)
    }

    pub(super) fn usage(&self) -> String {
        let (in_use, Self { idle, max, .. }) = (self.in_use(), self);
        let usage = format!("{in_use} of {max} connections in use, {idle} idle");
        match self.waiting {
            Some(waiting) => format!("{usage}, {waiting} callers waiting"),
            None => usage,
        }
    }

    pub(super) fn exhaustion(&self) -> Option<String> {
        let (in_use, Self { size, idle, max, waiting }) = (self.in_use(), self);
        match waiting {
            Some(waiting @ 1..) => {
                Some(format!("{waiting} callers wait for a connection; {in_use} of {max} are in use"))
            }
            _ if *idle == 0 && size >= max => Some(format!("all {size} of {max} connections are in use")),
            _ => None,
        }
    }
}
