//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::bus::{BusUrl, Engine, Kind, TAKEN};

/// The most instances that one process runs.
pub(crate) const MOST_INSTANCES: usize = 16;

/// What the instances of a bus that nobody else is on are called, in order.
const NAMES: [&str; MOST_INSTANCES] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa",
];

/// The most characters that the name of an instance has.
const LONGEST_NAME: usize = 32;

/// A chat that runs as several instances over one bus: open their addresses in browser windows and
/// talk, cut one off, heal it, and watch what happens. Over NATS or Redis, the instances may be
/// processes on different machines.
#[derive(Debug, Parser)]
#[command(name = "chat", version)]
pub(crate) struct Options {
    /// How many instances of the service to run, from 1 to 16
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MOST_INSTANCES as u64))]
    pub(crate) instances: usize,

    /// Port of the first instance; the others take the ones after it. 0 takes free ports
    #[arg(long, value_name = "N", default_value_t = 3000, allow_negative_numbers = true)]
    port: u16,

    /// How many messages of a room are kept for a reader that is slow to take them; beyond that
    /// the oldest are lost to it, and it is shown how many
    #[arg(long, value_name = "N", default_value = "1024", allow_negative_numbers = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(crate) capacity: usize,

    /// What carries messages from instance to instance: memory: within this process, or an engine
    /// that other processes use as well, as nats:// or tls:// (NATS), redis:// or rediss:// (Redis), or
    /// valkey:// or valkeys:// (Valkey). Several servers with commas between them. A password is safer
    /// in the environment, where no list of processes shows it
    #[arg(
        long,
        value_name = "URL",
        default_value = "memory:",
        env = "CHAT_BACKEND",
        hide_env_values = true
    )]
    pub(crate) backend: BusUrl,

    /// Instances hear each other only within one namespace of an engine [default: chat]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// PEM file with the certificates that an engine's has to come from, in place of the system's
    #[arg(long, value_name = "FILE")]
    tls_roots: Option<PathBuf>,

    /// What this instance is called, on the page and in the engine; several are NAME-1, NAME-2 …
    /// [default: alpha, bravo … in memory, chat-PORT over an engine]
    #[arg(long, value_name = "NAME", value_parser = instance_name)]
    name: Option<String>,

    /// The address of this machine to listen on; 0.0.0.0 is all of them
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    pub(crate) listen: IpAddr,
}

impl Options {
    /// The options that the process was started with; ends the process when they are wrong.
    pub(crate) fn parse_or_exit() -> Self {
        let arguments: Vec<_> = std::env::args_os().collect();
        let options = Self::try_parse_from(&arguments);
        options.and_then(|options| options.check().map(|()| options)).unwrap_or_else(|error| {
            if error.use_stderr() && arguments.iter().any(|argument| secret(argument).is_some()) {
                // It may quote an argument, and that may be a URL with a password.
                eprint!("{}", without_secrets(error.render().to_string(), &arguments));
                std::process::exit(error.exit_code());
            }
            error.exit()
        })
    }

    /// What the instances are called, given the ports that they listen on.
    pub(crate) fn names(&self, ports: &[u16]) -> Vec<String> {
        let name = |(number, port): (usize, &u16)| match &self.name {
            Some(name) if self.instances == 1 => name.clone(),
            Some(name) => format!("{name}-{}", number + 1),
            // There may be other processes, which need names of their own.
            None if self.is_over_an_engine() => format!("chat-{port}"),
            None => NAMES[number % MOST_INSTANCES].to_owned(),
        };
        ports.iter().enumerate().map(name).collect()
    }

    /// How to connect to an engine.
    pub(crate) fn engine(&self) -> Engine<'_> {
        Engine {
            namespace: self.namespace.as_deref().unwrap_or("chat"),
            tls_roots: self.tls_roots.as_ref(),
        }
    }

    /// Whether other processes may be on the bus.
    pub(crate) fn is_over_an_engine(&self) -> bool {
        self.backend.kind() != Some(Kind::Memory)
    }

    /// The port of each instance; 0 leaves the choice to the operating system.
    pub(crate) fn ports(&self) -> Vec<u16> {
        (0..self.instances)
            .map(|n| match self.port {
                0 => 0,
                first => first.saturating_add(u16::try_from(n).unwrap_or(u16::MAX)),
            })
            .collect()
    }

    fn check(&self) -> Result<(), clap::Error> {
        let wrong = |kind, text: String| Err(Self::command().error(kind, text));
        let highest_first = usize::from(u16::MAX) - (self.instances - 1);
        if usize::from(self.port) > highest_first {
            return wrong(
                ErrorKind::ValueValidation,
                format!(
                    "{} instances do not fit from port {} up to {}: choose --port {highest_first} or lower",
                    self.instances,
                    self.port,
                    u16::MAX,
                ),
            );
        }
        if self.backend.kind().is_none() {
            return wrong(
                ErrorKind::ValueValidation,
                format!("--backend takes {TAKEN}; {}", self.backend.what_is_wrong()),
            );
        }
        for (option, given) in
            [("--namespace", self.namespace.is_some()), ("--tls-roots", self.tls_roots.is_some())]
        {
            if given && !self.is_over_an_engine() {
                return wrong(
                    ErrorKind::ArgumentConflict,
                    format!("{option} is about an engine: name one with --backend URL"),
                );
            }
        }
        Ok(())
    }
}

/// The name of an instance is put into pages, ids, and an engine's list of clients as it is.
fn instance_name(name: &str) -> Result<String, String> {
    let of_allowed = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if name.is_empty() || name.len() > LONGEST_NAME || !of_allowed {
        return Err(format!(
            "it has 1 to {LONGEST_NAME} characters, out of a-z, A-Z, 0-9, '-' and '_'"
        ));
    }
    Ok(name.to_owned())
}

/// What must not be shown of an argument: of a URL, all between its scheme and the last `@`.
fn secret(argument: &OsString) -> Option<String> {
    let text = argument.to_string_lossy();
    let (credentials, _) = text.rsplit_once('@')?;
    let secret = credentials.split_once("://").map_or(credentials, |(_, secret)| secret);
    (!secret.is_empty()).then(|| secret.to_owned())
}

fn without_secrets(text: String, arguments: &[OsString]) -> String {
    arguments.iter().filter_map(secret).fold(text, |text, secret| text.replace(&secret, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let options = Options::try_parse_from(line.split(' ')).map_err(|e| e.to_string())?;
        options.check().map_err(|e| e.to_string())?;
        Ok(options)
    }

    #[test]
    fn the_command_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn without_options_it_runs_two_instances_from_port_3000() {
        let options = parse("chat").unwrap();
        assert_eq!((options.ports(), options.capacity), (vec![3000, 3001], 1024));
    }

    #[test]
    fn ports_follow_the_first_one_and_zero_leaves_all_of_them_free() {
        assert_eq!(parse("chat --port 80 --instances 3").unwrap().ports(), [80, 81, 82]);
        assert_eq!(parse("chat --port 0 --instances 3").unwrap().ports(), [0, 0, 0]);
        assert_eq!(parse("chat --port 65534").unwrap().ports(), [65534, 65535]);
    }

    #[test]
    fn ports_beyond_the_last_are_refused_with_the_highest_that_fits() {
        let error = parse("chat --port 65535 --instances 2").unwrap_err();
        assert!(error.contains("choose --port 65534 or lower"), "{error}");
    }

    #[test]
    fn instances_have_names_that_no_other_process_on_their_bus_has() {
        let names = |line: &str| parse(line).unwrap().names(&[3000, 3001]);
        assert_eq!(names("chat"), ["alpha", "bravo"]);
        assert_eq!(names("chat --backend nats://h"), ["chat-3000", "chat-3001"]);
        assert_eq!(names("chat --name tea"), ["tea-1", "tea-2"]);
        let one = parse("chat --backend redis://h --name tea --instances 1").unwrap();
        assert_eq!(one.names(&[3000]), ["tea"]);
        for name in ["", "a.b", "<b>", &"x".repeat(33)] {
            let error = parse(&format!("chat --name {name}")).unwrap_err();
            assert!(name.is_empty() || error.contains("1 to 32 characters"), "{error}");
        }
    }

    #[test]
    fn options_of_an_engine_are_refused_without_one() {
        for option in ["--namespace x", "--tls-roots x"] {
            let error = parse(&format!("chat {option}")).unwrap_err();
            assert!(error.contains("--backend URL"), "{error}");
            parse(&format!("chat {option} --backend redis://h")).unwrap();
        }
        assert_eq!(parse("chat --backend redis://h").unwrap().engine().namespace, "chat");
    }

    #[test]
    fn no_complaint_quotes_a_password() {
        for line in [
            "chat --backend http://u:s3cret@h",
            "chat --backend=u:s3cret@h",
            "chat nats://u:s3cret@h",
            "chat --port nats://u:s3cret@h",
            "chat --bakend=redis://:s3cret@h",
            "chat --bakend redis://:s3,cret@h,redis://:s3cret@i",
            "chat --name nats://s3cret@h",
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = parse(line).unwrap_err();
            let shown = without_secrets(error, &arguments);
            assert!(!shown.contains("s3"), "{line}: {shown}");
            assert!(shown.contains("error: "), "{line}: {shown}");
        }
        let options = parse("chat --backend redis://:s3cret@h").unwrap();
        assert!(!format!("{options:?}").contains("s3cret"), "{options:?}");
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (line, range) in [
            ("chat --instances 0", "1..=16"),
            ("chat --instances 17", "1..=16"),
            ("chat --capacity 0", "1..=1000000"),
            ("chat --capacity 1000001", "1..=1000000"),
            ("chat --port 65536", "0..=65535"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(range), "{line}: {error}");
        }
    }
}
