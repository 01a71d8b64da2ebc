//! Side-by-side measurements, for the benches of this workspace.
//!
//! A machine is faster now and slower then: figures of two runs say little about each other. So
//! everything that is compared runs in one process, in turns (A B A B …), and what counts is the
//! ratio within a round: the median of these, and how far they spread.
//!
//! ```
//! use bench_harness::{Better, Report};
//!
//! let mut report = Report::new("example", "How fast two ways of adding are");
//! report.compare("adding up to 100", "ns", Better::Less, 5, &mut [
//!     ("a loop", &mut || { let mut sum = 0; for n in 0..100 { sum += n; } f64::from(sum) }),
//!     ("a formula", &mut || f64::from(99 * 100 / 2)),
//! ]);
//! assert!(report.to_markdown().contains("| adding up to 100 |"));
//! ```

mod arguments;
mod plot;
mod report;
mod samples;

pub use arguments::Arguments;
pub use plot::Plot;
pub use report::{Better, Entry, Report};
pub use samples::Samples;
