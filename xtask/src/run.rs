//! Runs a command and shows its output while it comes.
//!
//! A command stays in this program's process group, so that Ctrl-C reaches it and all that it
//! started.

use std::io::{self, PipeReader, Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};

use crate::command::Command;

/// How a command ended: well, or with the reason why not.
pub(crate) type Ending = Result<(), String>;

/// For how long a command that has ended may be followed by output of what it left behind.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Chunks of output that may wait to be shown; the command waits when there are more.
const CHUNKS: usize = 64;

/// Runs a command that writes straight to the terminal, with its progress bars and colours.
pub(crate) fn run(command: &Command, folder: &Path, out: &mut impl Write) -> io::Result<Ending> {
    out.flush()?;
    let mut process = command.process();
    process.current_dir(folder).stdin(Stdio::null());
    Ok(ending(command, process.status()))
}

/// Runs a command, shows its output and its errors in the order in which they come, and gives
/// every line to `each_line` as well.
pub(crate) fn watch(
    command: &Command,
    folder: &Path,
    out: &mut impl Write,
    mut each_line: impl FnMut(&str),
) -> io::Result<Ending> {
    let (reader, mut child) = match spawn(command, folder) {
        Ok(started) => started,
        Err(error) => return Ok(ending(command, Err(error))),
    };
    let (sender, happenings) = mpsc::sync_channel(CHUNKS);
    let output = sender.clone();
    thread::spawn(move || forward(reader, &output));
    let status = thread::spawn(move || {
        let status = child.wait();
        let _ = sender.send(Happening::Ended);
        status
    });

    let mut lines = Lines::default();
    let mut deadline: Option<Instant> = None;
    loop {
        // A process that the command left behind may hold the pipe open for ever.
        let happening = match deadline {
            None => happenings.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(end) => happenings.recv_timeout(end.saturating_duration_since(Instant::now())),
        };
        match happening {
            Ok(Happening::Output(chunk)) => {
                out.write_all(&chunk)?;
                out.flush()?;
                lines.push(&chunk, &mut each_line);
            }
            Ok(Happening::Ended) => deadline = Some(Instant::now() + AFTERMATH),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                writeln!(out, "(a process that the command started is still running)")?;
                break;
            }
        }
    }
    lines.finish(&mut each_line);
    let status = status.join().unwrap_or_else(|_| Err(io::Error::other("nobody awaited it")));
    Ok(ending(command, status))
}

enum Happening {
    Output(Vec<u8>),
    Ended,
}

fn spawn(command: &Command, folder: &Path) -> io::Result<(PipeReader, Child)> {
    let (reader, writer) = io::pipe()?;
    let mut process = command.process();
    process.current_dir(folder).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let colours = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    if colours && std::env::var_os("CARGO_TERM_COLOR").is_none() {
        // Cargo sees a pipe where a person sees a terminal.
        process.env("CARGO_TERM_COLOR", "always");
    }
    // `process` goes at the end of this function, and with it our writing ends of the pipe: the
    // reader sees the end when the command's are closed.
    Ok((reader, process.spawn()?))
}

fn forward(mut reader: PipeReader, sender: &SyncSender<Happening>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = reader.read(&mut buffer) {
        if sender.send(Happening::Output(buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn ending(command: &Command, status: io::Result<ExitStatus>) -> Ending {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("cannot run `{command}`: {error}")),
    }
}

/// Puts lines together from chunks.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// More of one line than this says nothing that is counted.
    const LONGEST: usize = 64 * 1024;

    fn push(&mut self, chunk: &[u8], each_line: &mut impl FnMut(&str)) {
        for part in chunk.split_inclusive(|&byte| byte == b'\n') {
            let room = Self::LONGEST.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.finish(each_line);
            }
        }
    }

    fn finish(&mut self, each_line: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.partial);
        if !line.is_empty() {
            each_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        let mut each_line = |line: &str| seen.push(line.to_string());
        for chunk in chunks {
            lines.push(chunk, &mut each_line);
        }
        lines.finish(&mut each_line);
        seen
    }

    #[test]
    fn lines_come_together_from_chunks_cut_anywhere() {
        assert_eq!(lines(&[b"on", b"e\ntwo\nth", b"ree"]), ["one", "two", "three"]);
        let (first, second) = "ä\n".as_bytes().split_at(1);
        assert_eq!(lines(&[first, second]), ["ä"]);
        assert_eq!(lines(&[b"one\r\n\ntwo\n"]), ["one", "", "two"]);
    }

    #[test]
    fn bytes_that_are_no_text_and_endless_lines_are_survived() {
        assert_eq!(lines(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
        let endless = vec![b'x'; 200_000];
        let seen = lines(&[&endless, b"\nnext\n"]);
        assert!(seen[0].len() <= Lines::LONGEST);
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn output_and_errors_are_shown_and_given_line_by_line() {
        let mut shown = Vec::new();
        let mut seen = Vec::new();
        let command = Command::cargo(&["no-such-subcommand"]);
        let ending =
            watch(&command, Path::new("."), &mut shown, |line| seen.push(line.to_string()));
        assert!(ending.unwrap().unwrap_err().contains("101"));
        assert!(seen.iter().any(|line| line.contains("no-such-subcommand")), "{seen:?}");
        assert!(String::from_utf8(shown).unwrap().contains("no-such-subcommand"));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_reason_and_no_panic() {
        let command = Command::new("no-such-program-anywhere", &[]);
        let ending = watch(&command, Path::new("."), &mut Vec::new(), |_| {}).unwrap();
        assert!(ending.unwrap_err().starts_with("cannot run `no-such-program-anywhere`"));
    }

    #[cfg(unix)]
    #[test]
    fn a_process_left_behind_does_not_hold_up_the_run() {
        let mut shown = Vec::new();
        let command = Command::new("sh", &["-c", "sleep 600 & echo $!; exit 3"]);
        let mut left_behind = String::new();
        let ending = watch(&command, Path::new("."), &mut shown, |line| left_behind = line.into());
        assert!(ending.unwrap().is_err());
        assert!(String::from_utf8(shown).unwrap().contains("still running"));
        assert!(Command::new("kill", &[&left_behind]).process().status().unwrap().success());
    }
}
