//! Who may do what: the tokens and the one user of the service's config, and peers on this machine.

mod basic;
mod failures;
mod tokens;

pub(crate) use basic::{BasicAuth, Settings as BasicSettings};
pub(crate) use tokens::Tokens;

use failures::Failures;
use http::{HeaderValue, StatusCode, header};
use std::{net::IpAddr, sync::atomic::Ordering};
use weir_core::http::{Caller, Request, Response, Scope};

/// Why somebody from elsewhere may not see or change what runs.
const FROM_AFAR: &str = "streams and resources can only be seen and changed from this machine while nobody is asked \
    for a token: set http.auth or --auth-file, bind http.address or --control-address to a loopback address, or \
    insist with --insecure";

/// Decides who may pass.
#[derive(Default)]
pub(crate) struct Guard {
    /// The one user, who may do everything and is asked for everywhere.
    basic: Option<BasicAuth>,
    /// Those who may do something on the control routes.
    tokens: Option<Tokens>,
    failures: Failures,
}

impl Guard {
    /// A guard that asks for these; for neither, nobody is asked.
    pub(crate) fn new(basic: Option<BasicAuth>, tokens: Option<Tokens>) -> Self {
        Self { basic, tokens, failures: Failures::default() }
    }

    /// Who sent a request to a path that needs this scope; or the answer to those who may not. Where nobody is asked
    /// for anything, a listener that is `trusting` lets everyone do everything, others only peers on this machine.
    ///
    /// Paths without a scope are open to everyone unless there is basic authentication, which the reference asks
    /// for everywhere.
    pub(crate) async fn admit(
        &self,
        request: &Request,
        needs: Option<Scope>,
        trusting: bool,
    ) -> Result<Caller, Response> {
        let asks = self.basic.is_some() || self.tokens.is_some();
        let peer = request.remote.as_deref().and_then(|peer| peer.parse::<IpAddr>().ok());
        let caller = match self.caller(request, peer).await? {
            Some(caller) => caller,
            None if !asks && (trusting || peer.is_some_and(|peer| peer.to_canonical().is_loopback())) => {
                Caller::everything(Caller::ANONYMOUS)
            }
            None if self.basic.is_none() && needs.is_none() => Caller::default(),
            None if !asks => return Err(refused(StatusCode::FORBIDDEN, FROM_AFAR)),
            None => return Err(self.challenge()),
        };
        match needs.filter(|scope| !caller.may(*scope)) {
            None => Ok(caller),
            Some(scope) => {
                let text = format!("'{}' lacks the scope '{}'", caller.name, scope.name());
                Err(refused(StatusCode::FORBIDDEN, &text))
            }
        }
    }

    /// How many logins have failed.
    pub(crate) fn failed_logins(&self) -> u64 {
        self.failures.total.load(Ordering::Relaxed)
    }

    /// Who says to be known, if anyone does.
    async fn caller(&self, request: &Request, peer: Option<IpAddr>) -> Result<Option<Caller>, Response> {
        let Some(given) = request.headers.get(header::AUTHORIZATION) else { return Ok(None) };
        if let Some(wait) = self.failures.wait(peer) {
            let mut refused =
                refused(StatusCode::TOO_MANY_REQUESTS, "too many failed logins: try again later");
            refused.headers.insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
            return Err(refused);
        }
        if let Some(tokens) = &self.tokens
            && let Some(token) = bearer(given)
        {
            return match tokens.find(token) {
                Some(caller) => Ok(Some(caller)),
                None => Err(self.failed(peer, self.challenge())),
            };
        }
        match &self.basic {
            Some(basic) => match basic.refuse(&request.headers).await {
                None => Ok(Some(Caller::everything(basic.username()))),
                Some(refused) => Err(self.failed(peer, refused)),
            },
            None => Ok(None),
        }
    }

    fn failed(&self, peer: Option<IpAddr>, answer: Response) -> Response {
        if self.failures.add(peer) {
            let peer = peer.map_or_else(|| "an unknown address".into(), |peer| peer.to_string());
            tracing::warn!("Logins from {peer} fail too often: they are refused for a while");
        }
        answer
    }

    /// Asks for a name and password, or for a token.
    fn challenge(&self) -> Response {
        if let Some(basic) = &self.basic {
            return basic.challenge();
        }
        let mut asked = refused(StatusCode::UNAUTHORIZED, "this needs a token: Authorization: Bearer TOKEN");
        asked.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"weir\""));
        asked
    }
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refused(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(status, serde_json::json!({ "error": text }).to_string());
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Compares without telling by time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    fn request(remote: &str, authorization: &str) -> Request {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        Request {
            method: Method::GET,
            path: "/streams".into(),
            variables: Vec::new(),
            query: String::new(),
            headers,
            remote: Some(remote.into()),
            caller: Caller::default(),
            body: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn who_is_near_or_known_may_pass() {
        const AFAR: &str = "192.0.2.7";
        // The hash of "abc".
        let line = "ci, ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, read";
        let open = Guard::default();
        let asking = Guard::new(None, Some(Tokens::new(&[line.into()], None).unwrap()));
        let (read, write) = (Some(Scope::Read), Some(Scope::Write));
        let table = [
            (&open, "127.0.0.1", "", write, false, Ok("anonymous")),
            (&open, "::ffff:127.0.0.1", "", write, false, Ok("anonymous")),
            (&open, AFAR, "", None, false, Ok("anonymous")),
            (&open, AFAR, "", read, false, Err(403)),
            (&open, AFAR, "", write, true, Ok("anonymous")),
            (&open, AFAR, "Bearer abc", read, false, Err(403)),
            (&asking, "127.0.0.1", "", None, true, Ok("anonymous")),
            (&asking, "127.0.0.1", "", read, true, Err(401)),
            (&asking, AFAR, "Bearer abc", read, false, Ok("ci")),
            (&asking, AFAR, "bearer  abc", read, false, Ok("ci")),
            (&asking, AFAR, "Bearer abc", write, true, Err(403)),
            (&asking, AFAR, "Bearer abd", read, true, Err(401)),
            (&asking, AFAR, "Basic abc", read, true, Err(401)),
        ];
        for (index, (guard, remote, given, needs, trusting, wanted)) in table.into_iter().enumerate() {
            let found = guard.admit(&request(remote, given), needs, trusting).await;
            let found = found.as_ref().map(|caller| &*caller.name).map_err(|refused| refused.status.as_u16());
            assert_eq!(found, wanted, "row {index}");
        }
        for _ in 0..9 {
            drop(asking.admit(&request(AFAR, "Bearer abd"), read, true).await);
        }
        let refused = asking.admit(&request(AFAR, "Bearer abc"), read, true).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(asking.admit(&request("::1", "Bearer abc"), read, true).await.is_ok());
    }
}
