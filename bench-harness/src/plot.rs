//! A figure over a growing number of something, as a picture.

use std::path::PathBuf;
use std::{env, fs, io};

use plotters::prelude::*;

/// Lines over a logarithmic scale.
#[derive(Clone, Debug)]
pub struct Plot {
    name: String,
    /// What the horizontal axis counts.
    of: String,
    /// What the vertical axis is.
    figure: String,
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Told apart without colours, too: the first one is ours, and bold.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 160), RGBColor(200, 80, 0), RGBColor(90, 90, 90), RGBColor(0, 130, 70)];

const SIZE: (u32, u32) = (720, 400);

impl Plot {
    /// An empty one. `name` is that of its file.
    #[must_use]
    pub fn new(name: &str, of: &str, figure: &str) -> Self {
        let (name, of, figure) = (name.to_owned(), of.to_owned(), figure.to_owned());
        Self { name, of, figure, lines: Vec::new() }
    }

    /// Adds a line. The first one is the one that it is about.
    #[must_use]
    pub fn with_line(mut self, label: &str, points: Vec<(f64, f64)>) -> Self {
        self.lines.push((label.to_owned(), points));
        self
    }

    /// Writes `NAME.svg` into the folder `BENCH_REPORTS`, if that is set.
    ///
    /// # Errors
    /// It could not be drawn or written.
    pub fn write(&self) -> io::Result<()> {
        let Some(folder) = env::var_os("BENCH_REPORTS").map(PathBuf::from) else { return Ok(()) };
        fs::create_dir_all(&folder)?;
        let picture = self.to_svg().map_err(io::Error::other)?;
        fs::write(folder.join(format!("{}.svg", self.name)), picture)
    }

    fn to_svg(&self) -> Result<String, String> {
        let mut picture = String::new();
        self.draw(SVGBackend::with_string(&mut picture, SIZE))
            .map_err(|error| error.to_string())?;
        Ok(picture)
    }

    fn draw(&self, onto: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error + '_>> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1.0, f64::max);
        let (right, top) = (most(|point| point.0), most(|point| point.1) * 1.1);
        let area = onto.into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(14)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d((1.0..right).log_scale(), 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc(&self.of)
            .y_desc(&self.figure)
            .x_label_formatter(&|count| grouped(*count))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, (label, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let style = colour.stroke_width(if index == 0 { 3 } else { 1 });
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        area.present()?;
        Ok(())
    }
}

/// 1,000,000 and not 1000000.
fn grouped(count: f64) -> String {
    let digits = format!("{count:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_lines_and_their_names() {
        let plot = Plot::new("example", "readers", "ns")
            .with_line("ours", vec![(1.0, 3.0), (1_000.0, 2.0)])
            .with_line("theirs", vec![(1.0, 4.0), (1_000.0, 5.0)]);
        let picture = plot.to_svg().unwrap();
        for text in ["<svg", "ours", "theirs", "readers", "1,000"] {
            assert!(picture.contains(text), "{text} in {picture}");
        }
    }
}
