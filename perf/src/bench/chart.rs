//! How plots are drawn: logarithmic axes, and every series named at the right of its last point.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::combinators::WithKeyPoints;
use plotters::prelude::*;

/// A named row of points.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) look: Look,
    /// Which of the colours: the same for what belongs together.
    pub(super) colour: usize,
}

/// How the points of a series are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Dots on a line.
    Line,
    /// The same in black, behind the others: what they are measured by.
    Reference,
    /// From a full dot to an open one.
    Span,
}

/// What a plot says beside its series.
pub(super) struct Frame {
    pub(super) file: &'static str,
    pub(super) title: String,
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axis = WithKeyPoints<LogCoord<f64>>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Error = Box<dyn std::error::Error>;

/// Draws a plot to a file.
///
/// # Errors
/// The file cannot be written.
pub(super) fn draw(path: &Path, frame: &Frame, series: &[Series]) -> Result<(), Error> {
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, _) = area.split_horizontally(WIDTH - LABELS_WIDTH);
    let mut chart = ChartBuilder::on(&left)
        .caption(&frame.title, (FONT, 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(axis(series, |point| point.0), axis(series, |point| point.1))?;
    chart
        .configure_mesh()
        .x_desc(frame.x)
        .y_desc(frame.y)
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .draw()?;
    for one in series {
        draw_series(&mut chart, one)?;
    }
    draw_names(&area, &chart, series)?;
    area.present()?;
    Ok(())
}

fn draw_series(chart: &mut Chart<'_, '_>, series: &Series) -> Result<(), Error> {
    let colour = series.rgb();
    let points = || series.points.iter().copied();
    chart.draw_series(LineSeries::new(points(), colour.stroke_width(2)))?;
    let open = |index: usize| series.look == Look::Span && index > 0;
    let dots = points().enumerate().map(|(index, at)| {
        let fill = if open(index) { WHITE.filled() } else { colour.filled() };
        EmptyElement::at(at) + Circle::new((0, 0), 5, fill) + Circle::new((0, 0), 5, colour)
    });
    chart.draw_series(dots)?;
    Ok(())
}

/// The names, from top to bottom as the last points are, each with a line from its point to it.
fn draw_names(area: &Area<'_>, chart: &Chart<'_, '_>, series: &[Series]) -> Result<(), Error> {
    let placed = series.iter().filter_map(|one| {
        let at = chart.backend_coord(one.points.last()?);
        Some((at, one.name.as_str(), one.rgb()))
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|((_, y), ..)| *y);
    let wanted: Vec<i32> = placed.iter().map(|((_, y), ..)| *y).collect();
    let left = (WIDTH - LABELS_WIDTH) as i32;
    for (((x, y), name, colour), line) in placed.iter().zip(apart(&wanted)) {
        let way = [(x + 8, *y), (left - 4, line), (left + 4, line)];
        area.draw(&PathElement::new(way, colour.mix(0.4).stroke_width(1)))?;
        let style = (FONT, 14).into_font().color(colour);
        area.draw(&Text::new((*name).to_owned(), (left + 8, line - 7), style))?;
    }
    Ok(())
}

/// The heights nearest to those wanted, which rise, with room for a line of text between them and
/// within the picture.
fn apart(wanted: &[i32]) -> Vec<i32> {
    let mut lines: Vec<i32> = Vec::new();
    for want in wanted {
        let free = lines.last().map_or(LINE_HEIGHT, |last| last + LINE_HEIGHT);
        lines.push(free.max(*want));
    }
    let mut end = HEIGHT as i32 - LINE_HEIGHT;
    for line in lines.iter_mut().rev() {
        *line = (*line).min(end);
        end = *line - LINE_HEIGHT;
    }
    lines
}

impl Series {
    fn rgb(&self) -> RGBColor {
        let (r, g, b) = COLOURS[self.colour % COLOURS.len()];
        if self.look == Look::Reference { BLACK } else { RGBColor(r, g, b) }
    }
}

/// A number on an axis, without the digits that binary fractions bring along.
fn short(value: &f64) -> String {
    format!("{}", (value * 1e4).round() / 1e4)
}

/// A logarithmic axis with room around all points.
fn axis(series: &[Series], side: impl Fn(&(f64, f64)) -> f64) -> Axis {
    let values = || series.iter().flat_map(|one| &one.points).map(&side);
    let low = values().fold(f64::INFINITY, f64::min).max(1e-6) / ROOM;
    let high = values().fold(0.0, f64::max).max(low) * ROOM;
    let coordinates: LogCoord<f64> = (low..high).log_scale().into();
    coordinates.with_key_points(ticks(low, high))
}

/// Round numbers between two positive ones: 1, 2 and 5 times powers of ten, or more where those are
/// few.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let of = |leads: &[f64]| -> Vec<f64> {
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let all = powers.flat_map(|power| leads.iter().map(move |lead| lead * 10_f64.powi(power)));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let few = of(&[1.0, 2.0, 5.0]);
    if few.len() >= TICKS_MIN { few } else { of(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]) }
}

const FONT: &str = "sans-serif";
const WIDTH: u32 = 960;
const HEIGHT: u32 = 500;
/// At the right, for names.
const LABELS_WIDTH: u32 = 190;
const LINE_HEIGHT: i32 = 17;
/// Left free around the points, as a factor.
const ROOM: f64 = 1.3;
/// Fewer leave an axis that nothing can be read from.
const TICKS_MIN: usize = 4;
/// Told apart by most people who see few colours (after Okabe and Ito), and dark enough for text.
const COLOURS: [(u8, u8, u8); 7] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 135, 100),
    (170, 68, 140),
    (150, 110, 0),
    (60, 60, 160),
    (110, 110, 110),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_overlap_and_stay_in_the_picture() {
        assert_eq!(apart(&[50, 200]), [50, 200]);
        let bottom = HEIGHT as i32;
        for wanted in [vec![100; 8], vec![0, 1, 2], vec![bottom; 5], vec![bottom - 20, bottom]] {
            let lines = apart(&wanted);
            assert_eq!(lines.len(), wanted.len());
            assert!(lines.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT), "{lines:?}");
            assert!(lines.iter().all(|line| (0..bottom).contains(line)), "{lines:?}");
        }
    }

    #[test]
    fn an_axis_has_ticks_at_round_numbers_however_short_it_is() {
        assert_eq!(ticks(0.9, 210.0), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        let short_axis = ticks(0.11, 0.35);
        assert!(short_axis.len() >= 3 && short_axis.iter().all(|tick| (0.11..0.35).contains(tick)));
    }

    #[test]
    fn axes_show_short_numbers() {
        assert_eq!((short(&0.30000000000000004), short(&100.0)), ("0.3".into(), "100".into()));
    }
}
