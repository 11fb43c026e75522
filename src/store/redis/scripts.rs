//! The Lua scripts. Each change is one script, so that it happens as a whole or not at all.
//!
//! Scripts are idempotent by the letter's id, so that one whose answer was lost can be repeated.

use std::fmt;
use std::sync::LazyLock;

use redis::Cmd;

/// A script. Redis knows it by its hash after it has run it once.
pub(super) struct Script {
    source: &'static str,
    hash: LazyLock<String>,
    /// Whether it changes data, which replicas then have to receive.
    pub(super) writes: bool,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&*self.hash).finish()
    }
}

/// The first line of a script. A script that frees memory, or needs little, may run while the memory of Redis is full.
macro_rules! first_line {
    (when_full) => {
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
    CLAIM = "lua/claim.lua", writes: true, when_full;
    RENEW = "lua/renew.lua", writes: true, when_full;
    SETTLE = "lua/settle.lua", writes: true, when_full;
    PURGE = "lua/purge.lua", writes: true, when_full;
    PURGES = "lua/purges.lua", writes: false, with_room;
    EXPIRE = "lua/expire.lua", writes: true, when_full;
    DEPTH = "lua/depth.lua", writes: false, with_room;
    REPAIR = "lua/repair.lua", writes: true, when_full;
}

/// A script with its keys and arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) script: &'static Script,
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<Vec<u8>>,
}

impl Call {
    /// The command that runs the script: by its hash, or by its source, after which Redis knows the hash.
    pub(super) fn command(&self, by_source: bool) -> Cmd {
        let mut command = if by_source { redis::cmd("EVAL") } else { redis::cmd("EVALSHA") };
        command.arg(if by_source { self.script.source } else { &self.script.hash });
        command.arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

/// The arguments of a script that are texts.
pub(super) fn texts<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).into()
}
