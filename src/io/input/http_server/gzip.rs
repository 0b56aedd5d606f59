//! Answers compressed for clients that take it.

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};
use std::io::Write;
use weir_core::http::{Body, Response};

/// Whether a client takes gzip.
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f64>);
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight, Some(Ok(weight)) if weight <= 0.0)
    })
}

/// The answer compressed, off the runtime.
pub(super) async fn compressed(mut response: Response) -> Response {
    let Body::Whole(body) = &response.body else { return response };
    if body.is_empty() || response.headers.contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let body = body.clone();
    let work = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body).and_then(|()| encoder.finish())
    };
    if let Ok(Ok(bytes)) = tokio::task::spawn_blocking(work).await {
        response.body = Body::Whole(bytes.into());
        response.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        for (accepted, taken) in
            [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("identity", false), ("", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(is_taken(&headers), taken, "{accepted}");
        }
    }
}
