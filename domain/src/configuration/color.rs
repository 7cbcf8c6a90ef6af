//! Colours as people write them, and the font colour that can be read on one.

use csscolorparser::Color;

/// Lightness from which a background is taken for a light one (HSL).
const LIGHT: f32 = 0.5;

/// `#rgb`, `#rrggbb` or the name of a colour in CSS.
#[must_use]
pub fn parse_color(text: &str) -> Option<Color> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = match text.strip_prefix('#') {
        Some(digits) => matches!(digits.len(), 3 | 6) && is_hex(digits),
        // What the parser would take for digits is no name.
        None => text.bytes().all(|byte| byte.is_ascii_alphabetic()) && !is_hex(text),
    };
    // `transparent` is a name, too.
    fits.then(|| csscolorparser::parse(text).ok()).flatten().filter(|color| color.a >= 1.0)
}

/// Black on light backgrounds and on what is no colour, white on dark ones (core §5.9).
#[must_use]
pub fn contrast_color(background: &str) -> &'static str {
    let lightness = |color: &Color| {
        let parts = [color.r, color.g, color.b];
        let most = parts.into_iter().fold(0.0, f32::max);
        let least = parts.into_iter().fold(1.0, f32::min);
        f32::midpoint(most, least)
    };
    match parse_color(background) {
        Some(color) if lightness(&color) <= LIGHT => "#ffffff",
        _ => "#000000",
    }
}
