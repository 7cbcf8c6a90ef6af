//! The page that a balancer answers with while a site is under maintenance, as HAProxy's configuration
//! takes it.

use crate::instance::maintenance::Maintenance;
use std::fmt::Write as _;

/// The rule that answers every request of its backend with the page: 503, and when to come back.
///
/// The message is people's text. As HTML, each character but letters, digits and spaces of ASCII is a
/// numeric reference, so that it can't be markup. In the configuration the page stands within single
/// quotes, where HAProxy expands nothing, and it holds no such quote and no end of line.
pub(super) fn answer_with(page: &Maintenance) -> String {
    let retry_after = page.until.format("%a, %d %b %Y %H:%M:%S GMT");
    let html = compose_html(page);
    format!(
        "http-request return status 503 content-type 'text/html; charset=utf-8' \
         hdr Retry-After '{retry_after}' hdr Cache-Control no-store string '{html}'"
    )
}

fn compose_html(page: &Maintenance) -> String {
    let message = escape(page.message.trim());
    let until = page.until.format("%Y-%m-%d %H:%M");
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Maintenance</title></head>\
         <body style=\"font-family:sans-serif;max-width:40em;margin:4em auto;padding:0 1em\">\
         <h1>This site is under maintenance</h1><p style=\"white-space:pre-line\">{message}</p>\
         <p>It is expected back at {until} UTC.</p></body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == ' ' {
            html.push(c);
        } else {
            let _ = write!(html, "&#{};", u32::from(c)); // Writing to a String can't fail.
        }
    }
    html
}
