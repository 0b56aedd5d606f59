//! Whether a stream should run: pause, resume, restart. What is asked for is kept, for streams of files too.

use super::{
    Streams, answer,
    query::Query,
    routes::stream,
    write::{PARAMETERS, options_of, stamp},
};
use http::Method;
use weir_control::record::Wanted;
use weir_core::http::{Request, Response};

impl Streams {
    /// `POST /streams/{id}/revert`
    pub(super) async fn revert(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        Query::only(request, &PARAMETERS)?;
        let options = options_of(request, "REVERT")?;
        self.changed(self.service.revert(&stream(id), &options).await).await
    }

    /// `POST /streams/{id}/pause`, `/resume` and `/restart`
    pub(super) async fn run_state(
        &self,
        id: &str,
        (verb, wanted, anew): (&str, Wanted, bool),
        request: &Request,
    ) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        Query::only(request, &PARAMETERS)?;
        let (key, options) = (stream(id), options_of(request, verb)?);
        let written = self.service.set_run(&key, wanted, anew, &options).await;
        // Also of one that was so already, the answer is its status.
        match (written, self.service.view(&key)) {
            (Ok(written), Some(view)) if written.plan.is_none() && written.touched.is_empty() => {
                let mut response = answer::json(http::StatusCode::OK, &super::status::status(&view));
                stamp(&mut response, &written);
                Ok(response)
            }
            (written, _) => self.changed(written).await,
        }
    }
}
