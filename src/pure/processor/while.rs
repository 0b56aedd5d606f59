//! `while`: runs processors as long as a query is true.

use super::{flagless_check, optional_mapping};
use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    error::Error,
    expression::Mapping,
    field::Field,
    node::Node,
    processor::{Batches, Processor},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "while",
    summary: "Runs processors on a batch again and again, as long as a query is true.",
    description: "The query is asked of the first message of the batch, or of the first batch where the processors made several; \
                  one that fails is false. It ends too when nothing is left of the batch.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::bool("at_least_once", "Run the processors once before the query is asked.").default("false"),
        Field::int("max_loops", "How often the processors run at most; 0: without limit.")
            .default("0")
            .advanced(),
        Field::mapping("check", "The query.").default("''"),
        Field::processors("processors", "What the batch goes through each time."),
    ]),
    examples: &[Example {
        title: "Count to ten",
        config: "check: 'this.n < 10'\nprocessors: [ { mutation: 'root.n = this.n + 1' } ]",
    }],
    build: |node, context| {
        let Config { at_least_once, max_loops, check, processors } = node.read()?;
        let check = optional_mapping(&check, "check query")?;
        Ok(Box::new(While {
            at_least_once,
            max_loops: u64::try_from(max_loops).ok().filter(|max| *max > 0),
            check: check.ok_or_else(|| BuildError::new("a check query is required"))?,
            children: context.processors("while.processors", &processors.unwrap_or_default())?,
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    at_least_once: bool,
    max_loops: i64,
    check: String,
    processors: Option<Vec<Node>>,
}

struct While {
    at_least_once: bool,
    max_loops: Option<u64>,
    check: Mapping,
    children: Arc<dyn Processor>,
    hard_stop: CancellationToken,
    log: Log,
}

#[async_trait]
impl Processor for While {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut batches = Batches::from_buf([batch]);
        let mut loops = 0;
        while let Some(first) = batches.first() {
            let goes_on =
                (self.at_least_once && loops == 0) || flagless_check(&self.check, first, 0, &self.log);
            if !goes_on || self.max_loops.is_some_and(|max| loops >= max) {
                break;
            }
            if self.hard_stop.is_cancelled() {
                return Err(Error::Closed);
            }
            let mut next = Batches::new();
            for batch in batches {
                next.extend(self.children.process(batch).await?);
            }
            batches = next;
            loops += 1;
            // Processors that never wait would keep the thread to themselves.
            tokio::task::yield_now().await;
        }
        Ok(batches)
    }

    async fn close(&self) {
        self.children.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn loops_as_long_as_asked() {
        let config = |more: &str| {
            format!("while: {{ {more}, processors: [ {{ mutation: 'root.n = this.n + 1' }} ] }}")
        };
        assert_eq!(shown(&run(&config("check: 'this.n < 3'"), &["{\"n\":1}"]).await), [["{\"n\":3}"]]);
        let limited = config("check: 'true', max_loops: 2");
        assert_eq!(shown(&run(&limited, &["{\"n\":1}"]).await), [["{\"n\":3}"]]);
        let once = config("check: 'false', at_least_once: true");
        assert_eq!(shown(&run(&once, &["{\"n\":1}"]).await), [["{\"n\":2}"]]);
    }
}
