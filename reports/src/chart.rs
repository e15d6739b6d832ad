//! Lines over an axis, for a terminal and as SVG.

use std::fmt::Write as _;

/// Some lines over one axis. The vertical axis starts at zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Name of the horizontal axis.
    pub x: String,
    /// Where the horizontal axis starts.
    pub start: f64,
    /// Name of the vertical axis.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Whether the points of a line are joined; else they are a cloud.
    pub joined: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Told apart by people who see colours differently ("Points of view: Color blindness", Nature Methods 2011).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

impl Chart {
    fn most(&self) -> (f64, f64) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = points().map(|point| point.0).fold(f64::MIN_POSITIVE, f64::max);
        let y = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
        (x, y)
    }

    /// How far along the horizontal axis, from 0 to 1.
    fn along(&self, x: f64, most_x: f64) -> f64 {
        (x - self.start) / (most_x - self.start).max(f64::MIN_POSITIVE)
    }

    /// Letters on a grid of so many columns and rows, with a legend.
    pub fn terminal(&self, columns: usize, rows: usize) -> String {
        let (most_x, most_y) = self.most();
        let mut grid = vec![vec![b' '; columns]; rows];
        for (index, series) in self.series.iter().enumerate() {
            for (x, y) in &series.points {
                let column = (self.along(*x, most_x) * (columns - 1) as f64).round() as usize;
                let row = rows - 1 - ((y / most_y) * (rows - 1) as f64).round() as usize;
                grid[row][column] = LETTERS[index % LETTERS.len()];
            }
        }
        let mut text = format!("{}\n", self.title);
        for (index, row) in grid.iter().enumerate() {
            let value = most_y * (rows - 1 - index) as f64 / (rows - 1) as f64;
            let line = format!("{value:>9.1} │{}", String::from_utf8_lossy(row));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let _ = writeln!(text, "{:>9} └{}", self.y, "─".repeat(columns));
        let _ = writeln!(
            text,
            "{:>11}{:<width$.0}{most_x:.0}",
            "",
            self.start,
            width = columns.saturating_sub(6)
        );
        let _ = writeln!(text, "{:>11}{}", "", self.x);
        for (index, series) in self.series.iter().enumerate() {
            let _ = writeln!(text, "  {} {}", LETTERS[index % LETTERS.len()] as char, series.name);
        }
        text
    }

    /// A drawing of 720 by 400 points that needs no fonts but the reader's own.
    pub fn svg(&self) -> String {
        const WIDTH: f64 = 720.0;
        let legend = 18.0 * self.series.len() as f64;
        let (left, top, right, bottom) = (60.0, 40.0, 20.0, 45.0);
        let (plot_width, plot_height) = (WIDTH - left - right, 400.0 - top - bottom);
        let (most_x, most_y) = self.most();
        let height = 400.0 + legend;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{left}\" y=\"22\" font-size=\"15\">{}</text>\n",
            escaped(&self.title)
        );
        for step in 0..=4 {
            let part = f64::from(step) / 4.0;
            let (x, y) = (left + part * plot_width, top + (1.0 - part) * plot_height);
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                left + plot_width,
                left - 6.0,
                y + 4.0,
                tick(part * most_y, most_y),
                top + plot_height + 16.0,
                tick(self.start + part * (most_x - self.start), most_x)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"8\" y=\"{:.1}\">{}</text>",
            left + plot_width / 2.0,
            top + plot_height + 34.0,
            escaped(&self.x),
            top - 6.0,
            escaped(&self.y)
        );
        for (index, series) in self.series.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let places: Vec<(f64, f64)> = series
                .points
                .iter()
                .map(|(x, y)| {
                    (left + self.along(*x, most_x) * plot_width, top + (1.0 - y / most_y) * plot_height)
                })
                .collect();
            for (x, y) in &places {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            let y = 400.0 + 18.0 * index as f64;
            let in_legend = if self.joined {
                let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                format!(
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\
                     <path d=\"M{left} {y}h20\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                    points.join(" ")
                )
            } else {
                format!("<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>", left + 10.0)
            };
            let _ = writeln!(
                svg,
                "{in_legend}<text x=\"{}\" y=\"{}\">{}</text>",
                left + 26.0,
                y + 4.0,
                escaped(&series.name)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A number at an axis that ends at `most`, with three digits.
fn tick(value: f64, most: f64) -> String {
    let decimals = (2.0 - most.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let points = vec![(512.0, 20.0), (1024.0, 10.0)];
        Chart {
            title: "a < b".into(),
            x: "tokens".into(),
            start: 0.0,
            y: "tokens/s".into(),
            series: vec![Series { name: "board".into(), points }],
            joined: true,
        }
    }

    #[test]
    fn the_fastest_point_stands_in_the_first_row() {
        let text = chart().terminal(40, 8);
        let first = text.lines().nth(1).unwrap();
        assert!(first.contains("20.0") && first.ends_with('a'), "{text}");
    }

    #[test]
    fn ticks_have_three_digits_at_the_end_of_the_axis() {
        assert_eq!(tick(0.0325, 0.0325), "0.0325");
        assert_eq!(tick(2048.0, 2048.0), "2048");
        assert_eq!(tick(12.5, 50.0), "12.5");
    }

    #[test]
    fn svg_escapes_names_and_has_a_line_for_each_series() {
        let svg = chart().svg();
        assert!(svg.contains("a &lt; b") && svg.matches("<polyline").count() == 1);
        let cloud = Chart { joined: false, ..chart() }.svg();
        // a dot more in the legend
        assert_eq!(cloud.matches("<circle").count(), svg.matches("<circle").count() + 1);
        assert!(!cloud.contains("<polyline"));
    }
}
