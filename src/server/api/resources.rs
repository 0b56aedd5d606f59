//! `/resources/{type}/{id}`

use super::{
    Streams, answer,
    write::{is_chilled, options, written},
};
use http::{Method, StatusCode};
use weir_control::record::{Key, Kind as RecordKind};
use weir_core::http::{Request, Response};

const TYPES: &str =
    "Var `type` must be set to one of `cache`, `input`, `output`, `processor` or `rate_limit`";

impl Streams {
    /// Creates or changes a resource.
    pub(super) async fn resource(&self, kind: &str, id: &str, request: &Request) -> Response {
        if request.method != Method::POST {
            return answer::verb(&request.method);
        }
        let found = RecordKind::parse(kind)
            .and_then(|record| Some((record, crate::runtime::component_kind(record)?)));
        let Some((record, kind)) = found else { return Response::error(StatusCode::BAD_REQUEST, TYPES) };
        let chilled = is_chilled(request);
        let key = Key::new(record, id);
        let submission = self.off_thread(&request.body, move |streams, body| {
            streams.read(body, chilled).and_then(|text| streams.resource_submission(key, kind, text, chilled))
        });
        match submission.await {
            Err(refusal) => refusal.answer(),
            Ok(submission) => {
                let options = options(request);
                written(self.service.put_resource(submission, &options).await)
            }
        }
    }
}
