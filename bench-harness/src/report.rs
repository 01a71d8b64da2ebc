//! What was compared, as one table: on the screen, in Markdown, in JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

use serde::Serialize;

use crate::Samples;

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The smaller one, such as a time.
    Less,
    /// The greater one, such as a throughput.
    More,
}

/// A table of comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    name: String,
    title: String,
    rows: Vec<Row>,
    figures: Vec<Figure>,
    /// That of the rows to come.
    #[serde(skip)]
    target: Option<f64>,
}

/// One thing that all contenders have done.
#[derive(Clone, Debug, Serialize)]
struct Row {
    work: String,
    unit: &'static str,
    better: Better,
    /// How many times as good as the last one the first one should be, at least.
    target: Option<f64>,
    contenders: Vec<Contender>,
}

#[derive(Clone, Debug, Serialize)]
struct Contender {
    name: String,
    median: f64,
    low: f64,
    high: f64,
    /// How many times as good the first one is: the median of the rounds, and where most lie.
    first_over_this: f64,
    ratio_low: f64,
    ratio_high: f64,
    samples: Samples,
}

/// A figure that is compared with nothing but what it should be.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    what: String,
    unit: &'static str,
    median: f64,
    low: f64,
    high: f64,
    at_most: Option<f64>,
    samples: Samples,
}

/// A contender's name, and its next round, which gives a figure.
pub type Entry<'a> = (&'a str, &'a mut dyn FnMut() -> f64);

impl Report {
    /// An empty one. `name` is that of its files.
    #[must_use]
    pub fn new(name: &str, title: &str) -> Self {
        let (name, title) = (name.to_owned(), title.to_owned());
        Self { name, title, rows: vec![], figures: vec![], target: None }
    }

    /// How many times as good as the last contender the first one should be, at least, in the rows
    /// that are added from here on. The table says where it is not.
    pub fn set_target(&mut self, at_least: Option<f64>) {
        self.target = at_least;
    }

    /// Lets all contenders do the same work, in turns, for so many rounds; after one that does not
    /// count. The first one is what the others are compared with. Prints the outcome.
    pub fn compare(
        &mut self,
        work: &str,
        unit: &'static str,
        better: Better,
        rounds: usize,
        contenders: &mut [Entry<'_>],
    ) {
        let mut all = vec![Samples::default(); contenders.len()];
        for round in 0..=rounds {
            for (samples, (_, run)) in all.iter_mut().zip(contenders.iter_mut()) {
                let figure = run();
                if round > 0 {
                    samples.push(figure);
                }
            }
        }
        let named = contenders.iter().map(|(name, _)| *name).zip(all);
        self.add(work, unit, better, &named.collect::<Vec<_>>());
    }

    /// Adds figures that were taken in turns.
    pub fn add(
        &mut self,
        work: &str,
        unit: &'static str,
        better: Better,
        samples: &[(&str, Samples)],
    ) {
        let Some((_, first)) = samples.first() else { return };
        let contenders = samples.iter().map(|(name, samples)| {
            let ratio = match better {
                Better::More => first.over(samples),
                Better::Less => samples.over(first),
            };
            Contender {
                name: (*name).to_owned(),
                median: samples.median(),
                low: samples.quantile(0.1),
                high: samples.quantile(0.9),
                first_over_this: ratio.median(),
                ratio_low: ratio.quantile(0.1),
                ratio_high: ratio.quantile(0.9),
                samples: samples.clone(),
            }
        });
        let (work, target) = (work.to_owned(), self.target);
        let row = Row { work, unit, better, target, contenders: contenders.collect() };
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Adds a figure that is compared with nothing but, perhaps, what it should be at most. Prints it.
    pub fn figure(
        &mut self,
        what: &str,
        unit: &'static str,
        samples: &Samples,
        at_most: Option<f64>,
    ) {
        let figure = Figure {
            what: what.to_owned(),
            unit,
            median: samples.median(),
            low: samples.quantile(0.1),
            high: samples.quantile(0.9),
            at_most,
            samples: samples.clone(),
        };
        println!("{what:<44}  {}{}", figure.shown(), figure.verdict());
        self.figures.push(figure);
    }

    /// The table.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("### {}\n", self.title);
        let mut head: Vec<&str> = Vec::new();
        for row in &self.rows {
            let names = row.contenders.iter().map(|one| one.name.as_str());
            let its: Vec<_> = names.chain(row.target.map(|_| "target")).collect();
            if its != head {
                text.push_str(&table(&its));
                head = its;
            }
            text.push_str(&row.markdown());
        }
        if !self.figures.is_empty() {
            text.push_str(&table(&["median (most rounds)", "target"]));
            for figure in &self.figures {
                let (shown, verdict) = (figure.shown(), figure.verdict());
                let _ = writeln!(text, "| {} | {shown} | {} |", figure.what, verdict.trim());
            }
        }
        text
    }

    /// Writes `NAME.md` and `NAME.json` into the folder `BENCH_REPORTS`, if that is set.
    ///
    /// # Errors
    /// They could not be written.
    pub fn write(&self) -> io::Result<()> {
        let Some(folder) = env::var_os("BENCH_REPORTS").map(PathBuf::from) else { return Ok(()) };
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{}.md", self.name)), self.to_markdown())?;
        let json = serde_json::to_string_pretty(self)?;
        fs::write(folder.join(format!("{}.json", self.name)), json)
    }
}

impl Row {
    fn line(&self) -> String {
        let mut line = format!("{:<44}", self.work);
        for (index, one) in self.contenders.iter().enumerate() {
            let _ = write!(line, "  {} {} {}", one.name, number(one.median), self.unit);
            if index > 0 {
                let _ = write!(
                    line,
                    " (×{:.2}, {:.2} to {:.2})",
                    one.first_over_this, one.ratio_low, one.ratio_high
                );
            }
        }
        if let Some(verdict) = self.verdict() {
            let _ = write!(line, "  {verdict}");
        }
        line
    }

    fn markdown(&self) -> String {
        let mut line = format!("| {} |", self.work);
        for (index, one) in self.contenders.iter().enumerate() {
            let (median, unit) = (number(one.median), self.unit);
            let _ = match index {
                0 => write!(line, " **{median} {unit}** |"),
                _ => write!(
                    line,
                    " {median} {unit} (×{:.2}, {:.2} to {:.2}) |",
                    one.first_over_this, one.ratio_low, one.ratio_high
                ),
            };
        }
        if let Some(verdict) = self.verdict() {
            let _ = write!(line, " {verdict} |");
        }
        line.push('\n');
        line
    }

    fn verdict(&self) -> Option<String> {
        let (target, last) = (self.target?, self.contenders.last()?);
        let verdict = verdict(last.first_over_this >= target);
        Some(format!("×{target:.2}: {verdict}"))
    }
}

impl Figure {
    fn shown(&self) -> String {
        let (low, high) = (number(self.low), number(self.high));
        format!("{} {} ({low} to {high})", number(self.median), self.unit)
    }

    fn verdict(&self) -> String {
        self.at_most.map_or_else(String::new, |most| {
            format!("  {} {}: {}", number(most), self.unit, verdict(self.median <= most))
        })
    }
}

/// What is missed should not be overlooked.
fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

/// The head of a table whose first column has no name.
fn table(columns: &[&str]) -> String {
    format!("\n| | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

/// Three digits that count, and thousands apart.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index) % 3 == 0 && text != "-" {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count_and_thousands_apart() {
        let shown = [0.5, 9.876, 12.34, 123.4, 1234.5, 1_234_567.0, -1234.0].map(number);
        assert_eq!(shown, ["0.50", "9.88", "12.3", "123", "1,234", "1,234,567", "-1,234"]);
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn contenders_run_in_turns_and_the_first_round_does_not_count() {
        let calls = std::cell::RefCell::new(String::new());
        let mut report = Report::new("turns", "Turns");
        let (mut a, mut b) = (100.0, 100.0);
        let mut one = || {
            calls.borrow_mut().push('a');
            std::mem::replace(&mut a, 2.0)
        };
        let mut other = || {
            calls.borrow_mut().push('b');
            std::mem::replace(&mut b, 3.0)
        };
        report.compare("work", "ns", Better::Less, 2, &mut [("a", &mut one), ("b", &mut other)]);
        assert_eq!(calls.into_inner(), "ababab");
        let table = report.to_markdown();
        assert!(
            table.contains("| work | **2.00 ns** | 3.00 ns (×1.50, 1.50 to 1.50) |"),
            "{table}"
        );
    }

    #[test]
    fn a_target_that_is_missed_stands_out() {
        let samples = |value: f64| [value].into_iter().collect::<Samples>();
        let mut report = Report::new("targets", "Targets");
        report.set_target(Some(0.8));
        for (work, ours) in [("far", 79.0), ("near", 80.0)] {
            let row = [("ours", samples(ours)), ("theirs", samples(100.0))];
            report.add(work, "messages/s", Better::More, &row);
        }
        report.set_target(Some(1.0 / 1.1));
        let row = [("ours", samples(109.0)), ("theirs", samples(100.0))];
        report.add("late", "µs", Better::Less, &row);
        report.figure("slow", "ms", &samples(251.0), Some(250.0));
        report.figure("quick", "ms", &samples(250.0), Some(250.0));
        report.figure("free", "ms", &samples(1.0), None);
        let table = report.to_markdown();
        let has = |line: &str| assert!(table.contains(line), "{line} in {table}");
        has("| | ours | theirs | target |\n|---|---|---|---|\n");
        has("(×0.79, 0.79 to 0.79) | ×0.80: **missed** |\n");
        has("(×0.80, 0.80 to 0.80) | ×0.80: met |\n");
        has("(×0.92, 0.92 to 0.92) | ×0.91: met |\n");
        has("| slow | 251 ms (251 to 251) | 250 ms: **missed** |\n");
        has("| quick | 250 ms (250 to 250) | 250 ms: met |\n");
        has("| free | 1.00 ms (1.00 to 1.00) |  |\n");
    }
}
