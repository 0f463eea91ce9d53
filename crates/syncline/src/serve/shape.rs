//! In which shape `/status` is answered.

/// What a client can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Json,
    Html,
    Text,
}

impl Shape {
    /// What the query `format=…` names, or else what the header `Accept` prefers: HTML only where it is named, so that
    /// scripts get JSON. `None` if the query names something else.
    pub(super) fn asked(query: Option<&str>, accept: &str) -> Option<Shape> {
        let format = query.unwrap_or_default().split('&').find_map(|part| part.strip_prefix("format="));
        match format {
            Some("json") => Some(Shape::Json),
            Some("html") => Some(Shape::Html),
            Some("text") => Some(Shape::Text),
            Some(_) => None,
            None => Some(Shape::accepted(accept)),
        }
    }

    fn accepted(accept: &str) -> Shape {
        let (html, json) = (quality(accept, "text/html"), quality(accept, "application/json"));
        if html > 0.0 && html >= json { Shape::Html } else { Shape::Json }
    }
}

/// How much a media type is wanted, from 0 to 1. Wildcards do not count.
fn quality(accept: &str, media_type: &str) -> f64 {
    let of = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type));
        let quality =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        is_named.then_some(quality)
    };
    accept.split(',').find_map(of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_scripts_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        let long = "x".repeat(16 * 1024);
        for (query, accept, shape) in [
            (None, browser, Some(Shape::Html)),
            (None, "", Some(Shape::Json)),
            (None, "*/*", Some(Shape::Json)),
            (None, "application/json, text/html;q=0.5", Some(Shape::Json)),
            (None, "application/json;q=0.5, TEXT/HTML", Some(Shape::Html)),
            (None, "text/html;q=0", Some(Shape::Json)),
            (None, "text/html;q=x", Some(Shape::Json)),
            (None, &long, Some(Shape::Json)),
            (Some("format=text"), browser, Some(Shape::Text)),
            (Some("a=b&format=json"), browser, Some(Shape::Json)),
            (Some("format=html"), "", Some(Shape::Html)),
            (Some("format=xml"), browser, None),
        ] {
            assert_eq!(Shape::asked(query, accept), shape, "{query:?} {accept}");
        }
    }
}
