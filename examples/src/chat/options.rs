//! The command line.

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

/// The most instances that one process runs.
pub(crate) const MOST_INSTANCES: usize = 16;

/// A chat that runs as several instances over one bus: open their addresses in browser windows and
/// talk, cut one off, heal it, and watch what happens.
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
}

impl Options {
    /// The options that the process was started with; ends the process when they are wrong.
    pub(crate) fn parse_or_exit() -> Self {
        let options = Self::parse();
        options.check().unwrap_or_else(|error| error.exit());
        options
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
        let highest_first = usize::from(u16::MAX) - (self.instances - 1);
        if usize::from(self.port) <= highest_first {
            return Ok(());
        }
        Err(Self::command().error(
            ErrorKind::ValueValidation,
            format!(
                "{} instances do not fit from port {} up to {}: choose --port {highest_first} or lower",
                self.instances,
                self.port,
                u16::MAX,
            ),
        ))
    }
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
