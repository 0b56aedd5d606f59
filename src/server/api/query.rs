//! The parameters of the server's own paths: what is not known is refused by name.

use super::answer;
use crate::http::path::query_pairs;
use http::StatusCode;
use std::time::Duration;
use weir_control::{record::Key, service::Overriding, views::Page};
use weir_core::{
    duration,
    http::{Request, Response},
};

/// Entries of a list unless another number is asked for, and at most.
const LIMIT: (usize, usize) = (100, 1000);
/// What says which page of a list is asked for.
pub(super) const PAGE: [&str; 3] = ["before", "after", "limit"];
/// The longest remark that is kept, in bytes.
const NOTE: usize = 1000;

/// A request's parameters.
pub(super) struct Query(Vec<(String, String)>);

fn refuse(text: &str) -> Response {
    answer::refusal(StatusCode::BAD_REQUEST, text)
}

impl Query {
    /// The parameters, whatever they are.
    pub(super) fn of(request: &Request) -> Self {
        Self(query_pairs(&request.query))
    }

    /// The parameters, all of which must be `known`.
    pub(super) fn only(request: &Request, known: &[&str]) -> Result<Self, Response> {
        let all = Self::of(request);
        match all.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(all),
            Some((name, _)) if known.is_empty() => {
                Err(refuse(&format!("unknown parameter '{name}': this path has none")))
            }
            Some((name, _)) => {
                Err(refuse(&format!("unknown parameter '{name}': known are {}", known.join(", "))))
            }
        }
    }

    /// One value; the first if it repeats.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Response> {
        let parse = |text: &str| {
            text.parse().map_err(|_| refuse(&format!("parameter '{name}' is not a whole number: '{text}'")))
        };
        self.text(name).map(parse).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Response> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(refuse(&format!("parameter '{name}' is neither true nor false: '{text}'"))),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Response> {
        let parse = |text: &str| {
            duration::parse(text)
                .map_err(|_| refuse(&format!("parameter '{name}' is not a duration such as 30s: '{text}'")))
        };
        self.text(name).map(parse).transpose()
    }

    /// How many entries of a list are asked for.
    pub(super) fn limit(&self) -> Result<usize, Response> {
        let (usual, most) = LIMIT;
        match self.number("limit")? {
            None => Ok(usual),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=most).contains(limit))
                .ok_or_else(|| refuse(&format!("parameter 'limit' is not between 1 and {most}"))),
        }
    }

    /// Which page of a list is asked for.
    pub(super) fn page(&self) -> Result<Page, Response> {
        let after = self.text("after").map(|name| {
            let key = Key::parse(name);
            key.ok_or_else(|| refuse(&format!("parameter 'after' is not TYPE:ID of an entry: '{name}'")))
        });
        let (before, after) = (self.number("before")?, after.transpose()?);
        if after.is_some() && before.is_none() {
            return Err(refuse("parameter 'after' needs 'before', the revision of that entry"));
        }
        Ok(Page { before: before.unwrap_or(u64::MAX), after, limit: self.limit()? })
    }

    /// For how long, and why, a change is to count over a file.
    pub(super) fn overriding(&self) -> Result<Option<Overriding>, Response> {
        match (self.duration("override")?, self.text("reason")) {
            (None, _) => Ok(None),
            (Some(within), Some(reason)) if !reason.is_empty() && reason.len() <= NOTE => {
                Ok(Some(Overriding { within, reason: reason.to_owned() }))
            }
            _ => Err(refuse(&format!("parameter 'override' needs a 'reason' of at most {NOTE} bytes"))),
        }
    }

    /// A remark that is to be kept.
    pub(super) fn note(&self) -> Result<Option<String>, Response> {
        match self.text("note") {
            Some(note) if note.len() > NOTE => {
                Err(refuse(&format!("parameter 'note' is longer than {NOTE} bytes")))
            }
            note => Ok(note.map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::http::Body;

    fn query(text: &str) -> Query {
        Query(query_pairs(text))
    }

    fn said(response: Result<impl Sized, Response>) -> String {
        let Err(Response { body: Body::Whole(body), status, .. }) = response else { return "taken".into() };
        assert_eq!(status, StatusCode::BAD_REQUEST);
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn rubbish_is_refused_by_name() {
        assert_eq!(said(query("limit=7").limit()), "taken");
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=18446744073709551616"] {
            assert!(said(query(bad).limit()).contains("'limit'"), "{bad}");
        }
        assert!(said(query("from=1.5").number("from")).contains("'from'"));
        assert!(said(query("dry_run=yes").flag("dry_run")).contains("'dry_run'"));
        assert!(said(query("wait_timeout=soon").duration("wait_timeout")).contains("'wait_timeout'"));
        for bad in ["override=soon&reason=x", "override=2h", "override=2h&reason="] {
            assert!(said(query(bad).overriding()).contains("'override'"), "{bad}");
        }
        for bad in ["before=1&after=x", "before=1&after=thing:x", "after=cache:x"] {
            assert!(said(query(bad).page()).contains("'after'"), "{bad}");
        }
        assert_eq!(said(query("before=1&after=cache:x").page()), "taken");
        assert!(said(query(&format!("note={}", "x".repeat(1001))).note()).contains("'note'"));
    }
}
