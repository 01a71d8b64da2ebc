//! Measurements of one thing, one for each round.

use serde::Serialize;

/// Measurements of one thing, one for each round.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a round's.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value that half of them are below; NaN if there are none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value that this part of them is below; `part` is from 0 to 1.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        let (below, above) = ((last * part).floor(), (last * part).ceil());
        let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
        at(below) + (at(above) - at(below)) * (last * part - below)
    }

    /// By what each of these is greater than its counterpart of the same round.
    #[must_use]
    pub fn over(&self, others: &Self) -> Self {
        Self(self.0.iter().zip(&others.0).map(|(one, other)| one / other).collect())
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_values() {
        let samples: Samples = [5.0, 1.0, 4.0, 2.0, 3.0].into_iter().collect();
        assert_eq!(samples.median(), 3.0);
        assert_eq!((samples.quantile(0.0), samples.quantile(1.0)), (1.0, 5.0));
        assert_eq!(samples.quantile(0.625), 3.5);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let one: Samples = [2.0, 20.0].into_iter().collect();
        let other: Samples = [1.0, 10.0].into_iter().collect();
        assert_eq!(one.over(&other).quantile(1.0), 2.0);
    }
}
