//! The newest pictures.

use super::html::escaped;
use super::words;
use crate::http::site::{is_shown, path_of};
use crate::picture::Format;
use crate::service::store::Recent;

/// Below so many pixels a side, pixels are shown as squares rather than as a blur.
const SMALL: u32 = 160;

pub(super) fn html(recent: &[Recent]) -> String {
    if recent.is_empty() {
        return "<h2>Newest pictures</h2>\n<p class=\"none\">None yet.</p>\n".to_owned();
    }
    let figures: String = recent.iter().map(figure).collect();
    format!("<h2>Newest pictures</h2>\n<div class=\"pictures\">\n{figures}</div>\n")
}

fn figure(picture: &Recent) -> String {
    let facts = &picture.facts;
    let (width, height, format) = (facts.width, facts.height, escaped(&facts.format));
    let prompt = picture.prompt.as_deref().map(escaped);
    let shown = match Format::find(&facts.format).filter(|format| is_shown(*format)) {
        Some(_) => {
            let class = if width.max(height) < SMALL { " class=\"small\"" } else { "" };
            let path = path_of(picture);
            let what = prompt.clone().unwrap_or_else(|| format!("a picture from seed {}", facts.seed));
            format!(
                "<a href=\"{path}\"><img{class} src=\"{path}\" width=\"{width}\" height=\"{height}\" alt=\"{what}\"></a>"
            )
        }
        None => format!("<p class=\"panel\">{format} for a panel</p>"),
    };
    let prompt = prompt.map_or_else(String::new, |prompt| format!("<q>{prompt}</q>"));
    format!(
        "<figure>{shown}<figcaption>{prompt}<span>{width}×{height} {format}, <span>seed {}</span></span><time>{}</time></figcaption></figure>\n",
        facts.seed,
        words::of_moment(picture.finished),
    )
}
