//! What Redis runs: each change is one script, so that it happens whole or not at all.
//!
//! Each is idempotent by the letter's id: run twice, because an answer was lost, it does what it does once.

use std::fmt;
use std::sync::LazyLock;

use redis::Cmd;

/// A script, which Redis knows by its hash once it has run it.
pub(super) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
    /// Whether replicas have anything to learn from it.
    pub(super) writes: bool,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&*self.hash).finish()
    }
}

/// What a script begins with that may run while the memory of Redis is full: it removes letters, or needs little.
macro_rules! first_line {
    (in_need) => {
        "#!lua flags=allow-oom\n"
    };
    (with_room) => {
        ""
    };
}

macro_rules! scripts {
    ($($name:ident = $file:literal, writes: $writes:literal, $runs:ident;)*) => {$(
        pub(super) static $name: Script = {
            const SOURCE: &str =
                concat!(first_line!($runs), include_str!("lua/prelude.lua"), include_str!($file));
            Script {
                source: SOURCE,
                hash: LazyLock::new(|| redis::Script::new(SOURCE).get_hash().to_owned()),
                writes: $writes,
            }
        };
    )*};
}

scripts! {
    PUT = "lua/put.lua", writes: true, with_room;
    WALK = "lua/walk.lua", writes: false, with_room;
    FETCH = "lua/fetch.lua", writes: false, with_room;
    GROUPS = "lua/groups.lua", writes: false, with_room;
    SEEN = "lua/seen.lua", writes: false, with_room;
    FREQUENCIES = "lua/frequencies.lua", writes: false, with_room;
    CLAIM = "lua/claim.lua", writes: true, in_need;
    RENEW = "lua/renew.lua", writes: true, in_need;
    SETTLE = "lua/settle.lua", writes: true, in_need;
    PURGE = "lua/purge.lua", writes: true, in_need;
    PURGES = "lua/purges.lua", writes: false, with_room;
    EXPIRE = "lua/expire.lua", writes: true, in_need;
    DEPTH = "lua/depth.lua", writes: false, with_room;
    REPAIR = "lua/repair.lua", writes: true, in_need;
}

/// A script with what it is given.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) script: &'static Script,
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<Vec<u8>>,
}

impl Call {
    /// The command that runs the script: by its hash, or whole, after which Redis knows it.
    pub(super) fn command(&self, whole: bool) -> Cmd {
        let mut command = if whole { redis::cmd("EVAL") } else { redis::cmd("EVALSHA") };
        command.arg(if whole { self.script.source } else { &self.script.hash });
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}
