//! Tables of text: aligned, and cut so that no line is longer than the terminal is wide.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 2;
/// No column is made narrower for the sake of the others, unless it is all the same.
const NARROWEST: usize = 8;

/// The lines of a table; its first row has the heads. All rows have as many cells. Where there is
/// a `width`, the widest columns are cut, but never the first, which names the row.
#[must_use]
pub(super) fn lay_out(rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0))
        .collect();
    if let Some(width) = width {
        fit(&mut widths, width);
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        let line = cells.join(&" ".repeat(GAP));
        width.map_or_else(|| line.clone(), |width| cut(&line, width)).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Takes from the widest columns until all fit, or nothing is left to take.
fn fit(widths: &mut [usize], total: usize) {
    loop {
        let sum = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(excess) = sum.checked_sub(total).filter(|excess| *excess > 0) else { return };
        let Some(widest) = widths.iter_mut().skip(1).max().filter(|it| **it > NARROWEST) else {
            return;
        };
        // Bit by bit, so that columns that are wide alike are cut alike.
        *widest -= excess.min(*widest - NARROWEST).div_ceil(4);
    }
}

fn pad(text: &str, width: usize) -> String {
    let text = cut(text, width);
    let missing = width.saturating_sub(text.width());
    text + &" ".repeat(missing)
}

/// The text, or as much of it as there is room for before a `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let needed = c.width().unwrap_or(0);
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[[&str; 3]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        let (id, why) = ("run_0199", "no quota in region local: 40 GB asked for, 12 GB left");
        let rows = rows(&[["ID", "DOES", "OUTCOME"], [id, "launch_appserver", why]]);
        for width in 1..120 {
            let lines = lay_out(&rows, Some(width));
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            let is_named = width <= id.len() || lines[1].starts_with(id);
            assert!(is_named, "{width}: {lines:#?}");
        }
        let whole = lay_out(&rows, None);
        assert!(whole[1].ends_with(why), "{whole:#?}");
        let enough = whole[1].width();
        assert_eq!(lay_out(&rows, Some(enough)), whole);
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        let rows = rows(&[["A", "B", "C"], ["数据", "x", "y"], ["abcd", "x", "y"]]);
        let lines = lay_out(&rows, None);
        assert_eq!(lines, ["A     B  C", "数据  x  y", "abcd  x  y"]);
        assert_eq!(cut("数据库", 4), "数…");
    }
}
