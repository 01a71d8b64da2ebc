//! Ends a server whose test can no longer do it.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads the process id of the server that now runs, if any does, line by line. When no more can
/// come, whoever started this has gone, be it by `kill -9`: then nothing of it is to stay behind.
const SCRIPT: &str = r#"
    server=
    while read -r line; do server=$line; done
    [ -z "$server" ] || kill -9 "$server"
    # A server that has not quite ended may still have written something.
    rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// A process beside a server, which outlives this one for just as long as it takes to end the server
/// and to remove its folder.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    /// The other end is closed by the system when this process ends, in whatever way.
    server: Option<ChildStdin>,
}

impl Guard {
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "guard"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // In the group of the tests, it would end with them by Ctrl-C.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = command.spawn()?;
        Ok(Self { server: shell.stdin.take(), shell })
    }

    /// Watches over this server, in place of the one before.
    pub(crate) fn watch(&mut self, server: &Child) -> io::Result<()> {
        self.tell(&format!("{}\n", server.id()))
    }

    /// Watches over the folder alone. To be told before the server is waited for: then its process
    /// id may become another's.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        self.tell("\n")
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        self.server.as_mut().map_or(Ok(()), |pipe| pipe.write_all(line.as_bytes()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.server = None;
        let _ = self.shell.wait();
    }
}
