//! Reads Prometheus' text format, version 0.0.4, and takes nothing that is not in it.

use std::collections::BTreeMap;

use libtest_mimic::Trial;

pub(crate) fn all() -> Vec<Trial> {
    let test = || {
        reads_what_is_right();
        refuses_what_is_not();
        Ok(())
    };
    vec![Trial::test("exposition::is_read_strictly", test)]
}

/// The samples of a page of metrics, by name and labels: `name{label="value"}`, as they stand there.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Reads a page; the error says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Samples, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut samples = Samples::new();
    let mut families = Vec::<Family<'_>>::new();
    for line in text.lines() {
        read_line(line, &mut families, &mut samples).map_err(|wrong| format!("{wrong}: {line}"))?;
    }
    match families.iter().find(|family| family.kind.is_none() || family.samples == 0) {
        Some(family) => Err(format!("{} has no type, or no sample", family.name)),
        None => Ok(samples),
    }
}

struct Family<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    samples: usize,
}

fn read_line<'a>(
    line: &'a str,
    families: &mut Vec<Family<'a>>,
    samples: &mut Samples,
) -> Result<(), &'static str> {
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, help) = rest.split_once(' ').ok_or("help without a text")?;
        if !is_name(name) || help.trim().is_empty() || !is_escaped(help, false) {
            return Err("no help of a metric");
        }
        if families.iter().any(|family| family.name == name) {
            return Err("a metric comes twice");
        }
        families.push(Family { name, kind: None, samples: 0 });
        return Ok(());
    }
    let family = families.last_mut().ok_or("something before the first help")?;
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ').ok_or("type without a name")?;
        if name != family.name || family.kind.is_some() || family.samples > 0 {
            return Err("not the type of the metric whose help came before");
        }
        let is_counter = match kind {
            "counter" => true,
            "gauge" => false,
            _ => return Err("a type that is not used here"),
        };
        if is_counter != name.ends_with("_total") {
            return Err("counters, and no others, have names that end in _total");
        }
        family.kind = Some(kind);
        return Ok(());
    }
    let (sample, value) = line.rsplit_once(' ').ok_or("no value")?;
    let (name, labels) = match sample.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').ok_or("labels without an end")?),
        None => (sample, ""),
    };
    if name != family.name || family.kind.is_none() {
        return Err("not a sample of the metric whose type came before");
    }
    check_labels(labels)?;
    let value: f64 = value.parse().map_err(|_| "the value is no number")?;
    if family.kind == Some("counter") && !(value.is_finite() && value >= 0.0) {
        return Err("a counter counts up from 0");
    }
    family.samples += 1;
    match samples.insert(sample.to_owned(), value) {
        Some(_) => Err("a sample comes twice"),
        None => Ok(()),
    }
}

/// Labels: `name="value",name="value"`, where a value has its quotes, backslashes and ends of lines
/// escaped.
fn check_labels(mut labels: &str) -> Result<(), &'static str> {
    let mut names = Vec::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) || name.contains(':') || name.starts_with("__") {
            return Err("not the name of a label");
        }
        if matches!(name, "instance" | "job") {
            return Err("a label that Prometheus gives itself");
        }
        if names.contains(&name) {
            return Err("a label comes twice");
        }
        names.push(name);
        let end = end_of_value(rest).ok_or("a label's value without an end")?;
        if !is_escaped(&rest[..end], true) {
            return Err("a label's value is not escaped");
        }
        labels = match rest[end + 1..].strip_prefix(',') {
            Some("") => return Err("a comma too many"),
            Some(more) => more,
            None if rest.len() == end + 1 => "",
            None => return Err("no comma between labels"),
        };
    }
    Ok(())
}

fn end_of_value(rest: &str) -> Option<usize> {
    let mut escaped = false;
    rest.bytes().position(|byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    })
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|first| !first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

fn is_escaped(text: &str, with_quotes: bool) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let allowed = match character {
            '\\' => match characters.next() {
                Some('"') => with_quotes,
                next => matches!(next, Some('\\' | 'n')),
            },
            '"' => !with_quotes,
            _ => true,
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn reads_what_is_right() {
    let text = "# HELP a_total How often a \\\\ was \"seen\"\n# TYPE a_total counter\n\
                a_total{by=\"x\\\"y\",at=\"z\"} 3\na_total{by=\"y\"} 4e2\n\
                # HELP b Now\n# TYPE b gauge\nb -1.5\n";
    let samples = read(text).expect("it is right");
    let expected =
        [("a_total{by=\"x\\\"y\",at=\"z\"}", 3.0), ("a_total{by=\"y\"}", 400.0), ("b", -1.5)];
    assert_eq!(samples, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

fn refuses_what_is_not() {
    let of = |samples: &str| format!("# HELP a_total A\n# TYPE a_total counter\n{samples}\n");
    let wrong = [
        "".to_owned(),
        of("a_total 1").trim_end().to_owned(),
        of(""),
        "# HELP a_total A\n# TYPE a_total counter\n".to_owned(),
        "# HELP a_total A\na_total 1\n".to_owned(),
        "# TYPE a_total counter\na_total 1\n".to_owned(),
        "# HELP a A\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total A\n# TYPE a_total gauge\na_total 1\n".to_owned(),
        of("a_total 1\n# HELP a_total A\n# TYPE a_total counter\na_total{b=\"c\"} 1"),
        of("b_total 1"),
        of("a_total one"),
        of("a_total NaN"),
        of("a_total -1"),
        of("a_total"),
        of("a_total 1\na_total 1"),
        of("a_total{b=\"c\" 1"),
        of("a_total{b=\"c\",} 1"),
        of("a_total{b=\"c\"d=\"e\"} 1"),
        of("a_total{b=\"c\",b=\"d\"} 1"),
        of("a_total{b=\"c\"\"} 1"),
        of("a_total{b=\"\\t\"} 1"),
        of("a_total{b=c} 1"),
        of("a_total{1=\"c\"} 1"),
        of("a_total{instance=\"c\"} 1"),
        of("a_total{__b=\"c\"} 1"),
    ];
    for text in wrong {
        assert!(read(&text).is_err(), "{text}");
    }
}
