use std::io;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

/// As of a process that Ctrl-C ends: `STATUS_CONTROL_C_EXIT`, 0xC000013A.
const CONTROL_C_EXIT: i32 = -1_073_741_510;

/// The events that end a process.
pub(super) struct Signals {
    ctrl_c: CtrlC,
    ctrl_break: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// The name of the next event, and the exit code of a process that it ends.
    pub(super) async fn next(&mut self) -> (&'static str, i32) {
        let name = tokio::select! {
            _ = self.ctrl_c.recv() => "Ctrl-C",
            _ = self.ctrl_break.recv() => "Ctrl-Break",
            _ = self.close.recv() => "close",
            _ = self.shutdown.recv() => "shutdown",
        };
        (name, CONTROL_C_EXIT)
    }
}
