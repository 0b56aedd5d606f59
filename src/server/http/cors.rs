//! Cross-origin requests: the preflight is answered before anything else, and answers are marked.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use weir_core::http::{Request, Response};

/// Verbs that a preflight may ask for.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Verbs that need no mention in its answer.
const SIMPLE: [&str; 3] = ["GET", "HEAD", "POST"];
/// Headers that a preflight may ask for.
const HEADERS: [&str; 4] = ["accept", "accept-language", "content-language", "origin"];

/// Which origins may ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Option<Arc<[String]>>);

impl Rules {
    /// Rules from a config; it is an error to enable them for no origin.
    pub(crate) fn new(enabled: bool, origins: &[String]) -> Result<Self, String> {
        match (enabled, origins) {
            (false, _) => Ok(Self(None)),
            (true, []) => Err("bad CORS configuration: must specify at least one allowed origin".into()),
            (true, origins) => Ok(Self(Some(origins.into()))),
        }
    }

    /// Whether any origin may ask.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What to put into `Access-Control-Allow-Origin` for these headers.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let (origins, origin) = (self.0.as_ref()?, headers.get(header::ORIGIN)?);
        if origins.iter().any(|allowed| allowed == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// Answers a preflight request.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        if self.0.is_none()
            || request.method != Method::OPTIONS
            || !request.headers.contains_key(header::ORIGIN)
        {
            return None;
        }
        let empty = |status| Some(Response::new(status, ""));
        if self.allowed(&request.headers).is_none() {
            return empty(StatusCode::OK);
        }
        let Some(method) = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let method = method.to_str().unwrap_or_default();
        if !METHODS.contains(&method) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let wanted = request.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut names = wanted.flat_map(|value| value.to_str().unwrap_or("?").split(','));
        if names.any(|name| !name.trim().is_empty() && !HEADERS.contains(&&*name.trim().to_ascii_lowercase()))
        {
            return empty(StatusCode::FORBIDDEN);
        }
        let mut response = Response::new(StatusCode::OK, "");
        if let (false, Ok(value)) = (SIMPLE.contains(&method), HeaderValue::from_str(method)) {
            response.headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value);
        }
        self.mark(&request.headers, &mut response);
        Some(response)
    }

    /// Marks an answer for the origin that asked.
    pub(crate) fn mark(&self, asked: &HeaderMap, response: &mut Response) {
        let Some(allowed) = self.allowed(asked) else { return };
        if allowed != "*" {
            response.headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        response.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn preflight(rules: &Rules, headers: &[(&'static str, &'static str)]) -> Option<Response> {
        let headers = headers
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v)))
            .collect::<HeaderMap>();
        rules.preflight(&Request {
            method: Method::OPTIONS,
            path: "/streams".into(),
            variables: Vec::new(),
            query: String::new(),
            headers,
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: Bytes::new(),
        })
    }

    fn status(rules: &Rules, headers: &[(&'static str, &'static str)]) -> u16 {
        preflight(rules, headers).map_or(0, |response| response.status.as_u16())
    }

    #[test]
    fn preflights_answer_as_recorded() {
        let rules = Rules::new(true, &["http://ok.test".into()]).unwrap();
        let ok = ("origin", "http://ok.test");
        let method = "access-control-request-method";
        assert_eq!(status(&rules, &[("origin", "http://no.test"), (method, "PUT")]), 200);
        assert_eq!(status(&rules, &[ok]), 400);
        assert_eq!(status(&rules, &[ok, (method, "FOO")]), 405);
        assert_eq!(
            status(&rules, &[ok, (method, "PUT"), ("access-control-request-headers", "X-A, accept")]),
            403
        );
        assert_eq!(status(&rules, &[(method, "PUT")]), 0);
        let answer = preflight(&rules, &[ok, (method, "DELETE")]).unwrap();
        assert_eq!(answer.headers["access-control-allow-methods"], "DELETE");
        assert_eq!(answer.headers["access-control-allow-origin"], "http://ok.test");
        assert_eq!(answer.headers["vary"], "Origin");
    }

    #[test]
    fn no_origins_is_a_mistake_and_disabled_is_silent() {
        assert!(Rules::new(true, &[]).is_err());
        assert!(
            preflight(&Rules::default(), &[("origin", "http://a"), ("access-control-request-method", "PUT")])
                .is_none()
        );
    }
}
