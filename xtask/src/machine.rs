//! What the figures of a bench are figures of.

use std::path::Path;
use std::{fmt, fs, thread};

use crate::command::Command;

/// The machine at this moment. What cannot be found out is "unknown".
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) rustc: String,
    processor: String,
    cores: usize,
    system: String,
    /// How many processes wanted to run, on the average of the last minute.
    load: Option<f64>,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let processor = fs::read_to_string("/proc/cpuinfo").ok();
        let load = fs::read_to_string("/proc/loadavg").ok();
        let system = fs::read_to_string("/etc/os-release").ok();
        let system = system
            .and_then(|text| Some(field(&text, "PRETTY_NAME", '=')?.trim_matches('"').to_owned()));
        let kernel = first_line(&Command::new("uname", &["-sr"]));
        let system: Vec<_> = system.into_iter().chain(kernel).collect();
        Self {
            date: first_line(&Command::new("date", &["-u", "+%Y-%m-%d"])).unwrap_or_else(unknown),
            rustc: first_line(&Command::new("rustc", &["--version"])).unwrap_or_else(unknown),
            processor: processor
                .and_then(|text| field(&text, "model name", ':').map(str::to_owned))
                .unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(0, usize::from),
            system: system.join(", "),
            load: load.and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }

    /// Whether others wanted to run as well when it was looked at.
    pub(crate) fn is_busy(&self) -> bool {
        self.load.is_some_and(|load| load > 1.0)
    }

    /// A crate with the version that is used, such as "tokio 1.47.1".
    pub(crate) fn version_of_crate(&self, name: &str, folder: &Path) -> Option<String> {
        let lock = fs::read_to_string(folder.join("Cargo.lock")).ok()?;
        let (_, rest) = lock.split_once(&format!("[[package]]\nname = \"{name}\"\n"))?;
        Some(format!("{name} {}", field(rest, "version", '=')?.trim_matches('"')))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores; {}", self.processor, self.cores, self.system)?;
        match self.load {
            Some(load) if self.is_busy() => {
                write!(f, "; **busy with something else**, a load of {load} at the start")
            }
            Some(load) => write!(f, "; a load of {load} at the start"),
            None => Ok(()),
        }
    }
}

/// The value of the first line with this key.
fn field<'a>(text: &'a str, key: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(separator)?;
        (found.trim() == key).then(|| value.trim())
    })
}

/// The first line that a command writes, if it succeeds.
pub(crate) fn first_line(command: &Command) -> Option<String> {
    let output = command.process().output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_key() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2.00GHz: fast\nmodel\t\t: 85\n";
        assert_eq!(field(text, "model name", ':'), Some("A CPU @ 2.00GHz: fast"));
        assert_eq!(field(text, "model", ':'), Some("85"));
        assert_eq!(field(text, "name", ':'), None);
    }

    #[test]
    fn the_version_of_a_crate_is_the_one_that_is_locked() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let shown = Machine::here().version_of_crate("clap", &root).unwrap();
        assert!(shown.starts_with("clap 4."), "{shown}");
        assert_eq!(Machine::here().version_of_crate("no-such-crate", &root), None);
    }

    #[test]
    fn a_busy_machine_is_said_to_be_one() {
        let with = |load| Machine { load: Some(load), ..Machine::here() };
        assert!(with(1.01).to_string().contains("busy"));
        assert!(!with(1.0).to_string().contains("busy"));
    }
}
