//! Line charts with logarithmic axes, as SVG that reads well on light and on dark ground.

use std::fmt::Write;
use std::ops::RangeInclusive;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Room for numbers and words around the lines: left, top, right, bottom.
const MARGIN: [f64; 4] = [64.0, 64.0, 24.0, 44.0];

const STYLE: &str = "
  text { font: 13px sans-serif; fill: #1f2328 } .title { font-size: 16px; font-weight: bold }
  .ground { fill: #ffffff } .grid { stroke: #d0d7de } .fine { stroke: #eaeef2 }
  .s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #1a7f37; fill: #1a7f37 }
  .s3 { stroke: #8250df; fill: #8250df } .s4 { stroke: #cf222e; fill: #cf222e }
  polyline { fill: none !important; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .ground { fill: #0d1117 } .grid { stroke: #3d444d } .fine { stroke: #21262d }
    .s0 { stroke: #4493f8; fill: #4493f8 } .s1 { stroke: #f0883e; fill: #f0883e } .s2 { stroke: #3fb950; fill: #3fb950 }
    .s3 { stroke: #ab7df8; fill: #ab7df8 } .s4 { stroke: #f85149; fill: #f85149 }
  }
";

/// Some lines over one quantity.
pub struct Chart {
    pub title: &'static str,
    pub x_axis: &'static str,
    pub y_axis: &'static str,
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Chart {
    pub fn new(title: &'static str, x_axis: &'static str, y_axis: &'static str) -> Chart {
        Chart { title, x_axis, y_axis, lines: Vec::new() }
    }

    /// Go on with a line, or begin it.
    pub fn add(&mut self, line: &str, x: f64, y: f64) {
        match self.lines.iter_mut().find(|(name, _)| name == line) {
            Some((_, points)) => points.push((x, y)),
            None => self.lines.push((line.into(), vec![(x, y)])),
        }
    }

    pub fn svg(&self) -> String {
        let [left, top, right, bottom] = MARGIN;
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::over(points().map(|point| point.0), left..=WIDTH - right);
        let y = Axis::over(points().map(|point| point.1), HEIGHT - bottom..=top);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n",
            self.title
        );
        for (value, class) in x.ticks() {
            let at = x.at(value);
            line(&mut svg, class, (at, top), (at, HEIGHT - bottom));
        }
        for (value, class) in y.ticks() {
            let at = y.at(value);
            line(&mut svg, class, (left, at), (WIDTH - right, at));
        }
        for value in x.decades() {
            text(&mut svg, "middle", (x.at(value), HEIGHT - bottom + 18.0), &number(value));
        }
        for value in y.decades() {
            text(&mut svg, "end", (left - 6.0, y.at(value) + 4.0), &number(value));
        }
        text(&mut svg, "end", (WIDTH - right, HEIGHT - 8.0), self.x_axis);
        text(&mut svg, "start", (8.0, top - 12.0), self.y_axis);
        writeln!(svg, "<text class=\"title\" x=\"8\" y=\"22\">{}</text>", self.title).unwrap();
        let mut at = left - 24.0;
        for (number, (name, points)) in self.lines.iter().enumerate() {
            let points: Vec<_> = points.iter().map(|point| (x.at(point.0), y.at(point.1))).collect();
            draw(&mut svg, number, &points);
            draw(&mut svg, number, &[(at, top - 16.0), (at + 24.0, top - 16.0)]);
            text(&mut svg, "start", (at + 32.0, top - 12.0), name);
            at += 48.0 + 7.0 * name.len() as f64;
        }
        svg + "</svg>\n"
    }
}

/// A logarithmic axis over whole decades.
struct Axis {
    decades: RangeInclusive<i32>,
    start: f64,
    end: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, room: RangeInclusive<f64>) -> Axis {
        let (low, high) = values
            .map(f64::log10)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let low = low.floor() as i32;
        let decades = low..=(high.ceil() as i32).max(low + 1);
        Axis { decades, start: *room.start(), end: *room.end() }
    }

    fn at(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(*self.decades.start()), f64::from(*self.decades.end()));
        let at = self.start + (self.end - self.start) * (value.log10() - low) / (high - low);
        (at * 10.0).round() / 10.0
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        self.decades.clone().map(|exponent| 10_f64.powi(exponent))
    }

    /// Every decade, and between them what a ruler would show.
    fn ticks(&self) -> impl Iterator<Item = (f64, &'static str)> {
        let last = 10_f64.powi(*self.decades.end());
        let ticks =
            self.decades().flat_map(|value| [(value, "grid"), (2.0 * value, "fine"), (5.0 * value, "fine")]);
        ticks.filter(move |(value, _)| *value <= last)
    }
}

fn draw(svg: &mut String, number: usize, points: &[(f64, f64)]) {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    writeln!(svg, "<polyline class=\"s{number}\" points=\"{}\"/>", path.join(" ")).unwrap();
    for (x, y) in points {
        writeln!(svg, "<circle class=\"s{number}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>").unwrap();
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(svg, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>").unwrap();
}

fn text(svg: &mut String, anchor: &str, (x, y): (f64, f64), text: &str) {
    writeln!(svg, "<text text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>").unwrap();
}

/// A power of ten: 0.01, 1, 10,000.
fn number(value: f64) -> String {
    let exponent = value.log10().round() as i32;
    if exponent < 0 {
        return format!("{value:.*}", exponent.unsigned_abs() as usize);
    }
    let digits = format!("{value:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
