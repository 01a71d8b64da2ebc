//! One command: what to run, and how a person would type it.

use std::ffi::OsString;
use std::fmt;
use std::process;

/// A program with its arguments and what it adds to the environment.
///
/// `Display` gives the line that a person would type into a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Command {
    pub(crate) fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().map(|&argument| argument.into()).collect(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn cargo(arguments: &[&str]) -> Self {
        Self::new("cargo", arguments)
    }

    pub(crate) fn with_argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The command, ready to be started.
    pub(crate) fn process(&self) -> process::Command {
        let mut command = process::Command::new(self.executable());
        command.args(&self.arguments);
        for (name, value) in &self.environment {
            command.env(name, value);
            if name == "RUSTFLAGS" {
                // Cargo would prefer this one, and never look at ours.
                command.env_remove("CARGO_ENCODED_RUSTFLAGS");
            }
        }
        command
    }

    fn executable(&self) -> OsString {
        match self.program.as_str() {
            // The cargo that runs this program, so that `cargo +toolchain xtask …` means it.
            "cargo" => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            program => program.into(),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let command = Command::cargo(&["test", "--test", "loom"])
            .with_argument("--target-dir")
            .with_argument("/home/a b/target")
            .with_environment("RUSTFLAGS", "--cfg backend_loom");
        assert_eq!(
            command.to_string(),
            "RUSTFLAGS='--cfg backend_loom' cargo test --test loom --target-dir '/home/a b/target'"
        );
    }

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(quoted("-Dwarnings"), "-Dwarnings");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
