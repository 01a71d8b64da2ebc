//! What a bench is asked for: `ROUNDS=9 cargo bench … -- latency`.

use std::{env, io};

/// Rounds that count, and the parts that are run.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// How many rounds count.
    pub rounds: usize,
    parts: Vec<String>,
}

impl Arguments {
    /// Reads them from the command line, and the number of rounds from `ROUNDS`; there are `rounds`
    /// unless that says otherwise. `None`: this is no `cargo bench`. As part of `cargo test
    /// --all-targets` a bench has only been built.
    ///
    /// # Errors
    /// A part that is none of `known`, or rounds that are no number.
    pub fn read(rounds: usize, known: &[&str]) -> io::Result<Option<Self>> {
        let arguments: Vec<_> = env::args().skip(1).collect();
        let text = env::var("ROUNDS").ok();
        let read = of(&arguments, text.as_deref(), rounds, known);
        read.map_err(|wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }

    /// Whether this part was asked for: by its name, or with all others.
    #[must_use]
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

fn of(
    arguments: &[String],
    rounds: Option<&str>,
    otherwise: usize,
    known: &[&str],
) -> Result<Option<Arguments>, String> {
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(None);
    }
    let parts: Vec<_> =
        arguments.iter().filter(|argument| *argument != "--bench").cloned().collect();
    if let Some(unknown) = parts.iter().find(|part| !known.contains(&part.as_str())) {
        return Err(format!("there is no part {unknown}; there are {}", known.join(", ")));
    }
    let rounds = match rounds {
        None => otherwise,
        Some(text) => match text.parse() {
            Ok(rounds) if rounds > 0 => rounds,
            _ => return Err(format!("ROUNDS={text} is no number of rounds")),
        },
    };
    Ok(Some(Arguments { rounds, parts }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str], rounds: Option<&str>) -> Result<Option<Arguments>, String> {
        let arguments: Vec<_> = arguments.iter().map(|&one| one.to_owned()).collect();
        of(&arguments, rounds, 7, &["fast", "slow"])
    }

    #[test]
    fn without_a_choice_every_part_is_wanted() {
        let all = read(&["--bench"], None).unwrap().unwrap();
        assert!(all.rounds == 7 && all.wants("fast") && all.wants("slow"));
        let one = read(&["slow", "--bench"], Some("3")).unwrap().unwrap();
        assert!(one.rounds == 3 && !one.wants("fast") && one.wants("slow"));
        assert!(read(&["slow"], None).unwrap().is_none());
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        let wrong = read(&["--bench", "swift"], None).unwrap_err();
        assert_eq!(wrong, "there is no part swift; there are fast, slow");
        for rounds in ["", "0", "-1", "many"] {
            assert!(read(&["--bench"], Some(rounds)).is_err(), "{rounds}");
        }
    }
}
