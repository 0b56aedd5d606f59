//! `workflow`: runs branches in the order that their mappings need, at once where they may.

use super::{
    branch::{Branch, FIELDS},
    flag,
};
use crate::{compat, log::Log};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::Deserialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use weir_bloblang::{Kind, Message, Object, Segment, Value, split_dot_path};
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Example, Status},
    trace,
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "workflow",
    summary: "Runs `branch` processors in the order that they need each other, at once where they may.",
    description: include_str!("workflow.md"),
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("meta_path", "Where each message tells how its branches went; empty: nowhere.")
            .default("meta.workflow"),
        Field::string(
            "order",
            "Tiers of branch names, run one after the other. Empty: as the mappings need.",
        )
        .list_of_lists()
        .default("[]"),
        Field::string("branch_resources", "Labels of `branch` resources that take part too.")
            .list()
            .default("[]")
            .advanced(),
        Field::object("branches", "The branches by name.", FIELDS).map().default("{}"),
    ]),
    examples: &[Example {
        title: "One after the other",
        config: "branches:\n  total: { request_map: 'root = [this.net, this.tax]', result_map: 'root.total = this',\n    \
                 processors: [ { mapping: 'root = this.sum()' } ] }\n  tax: { request_map: 'root = this.net', \
                 result_map: 'root.tax = this',\n    processors: [ { mapping: 'root = this * 0.2' } ] }",
    }],
    build: |node, context| Ok(Box::new(Workflow::build(node.read()?, context)?)),
};

#[derive(Deserialize)]
struct Config {
    meta_path: String,
    order: Vec<Vec<String>>,
    branch_resources: Vec<String>,
    branches: BTreeMap<String, Node>,
}

struct Workflow {
    meta_path: Vec<Segment>,
    branches: BTreeMap<String, Source>,
    /// Without it the order is found out for each batch, as resources may change.
    order: Option<Tiers>,
    log: Log,
}

enum Source {
    Own(Arc<Branch>),
    Resource(Slot<dyn Processor>),
}

/// Names of branches that run at once, tier by tier.
type Tiers = Vec<Vec<String>>;

/// The versions of all branches that a batch goes through.
type Held<'a> = BTreeMap<&'a str, Arc<Branch>>;

/// What became of a message in a branch, unless it went well.
enum Outcome {
    Skipped,
    Failed(String),
}

type Record<'a> = BTreeMap<&'a str, Outcome>;

impl Workflow {
    fn build(config: Config, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let Config { meta_path, order, branch_resources, branches: nodes } = config;
        let mut branches = BTreeMap::new();
        for (name, node) in nodes {
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                let text = format!("workflow branch name '{name}' contains invalid characters");
                return Err(BuildError::new(text));
            }
            let branch = Branch::build(&node, &format!("workflow.branches.{name}"), context)?;
            branches.insert(name, Source::Own(Arc::new(branch)));
        }
        let own = branches.len();
        for label in branch_resources {
            if branches.contains_key(&label) {
                let text = format!("branch resource name '{label}' collides with an explicit branch");
                return Err(BuildError::new(text));
            }
            let slot = context.processor_resource(&label)?;
            branches.insert(label, Source::Resource(slot));
        }
        for name in order.iter().flatten() {
            if !branches.contains_key(name) {
                branches.insert(name.clone(), Source::Resource(context.processor_resource(name)?));
            }
        }
        let meta_path = if meta_path.is_empty() { Vec::new() } else { split_dot_path(&meta_path) };
        let only_own = branches.len() == own;
        let mut workflow = Self { meta_path, branches, order: None, log: Log::new(context) };
        if !order.is_empty() {
            workflow.check(&order)?;
            workflow.order = Some(order);
        } else if only_own {
            let tiers = workflow.held().and_then(|held| tiers(&held)).map_err(BuildError::new)?;
            let shown: Vec<String> = tiers.iter().map(|tier| listed(tier)).collect();
            workflow.log.info(format_args!("Automatically resolved workflow DAG: {}", listed(&shown)));
            workflow.order = Some(tiers);
        }
        Ok(workflow)
    }

    /// Refuses an order that does not name each branch once.
    fn check(&self, order: &Tiers) -> Result<(), BuildError> {
        if let Some(tier) = order.iter().position(Vec::is_empty) {
            return Err(BuildError::new(format!("explicit order tier '{tier}' was empty")));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = order.iter().flatten().find(|name| !seen.insert(*name)) {
            return Err(BuildError::new(format!("branch specified in order listed multiple times: {name}")));
        }
        let missing: Vec<&String> = self.branches.keys().filter(|name| !seen.contains(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(BuildError::new(format!("the following branches were missing from order: {}", listed(&missing))))
    }

    fn held(&self) -> Result<Held<'_>, String> {
        let hold = |(name, source): (&'_ String, &Source)| match source {
            Source::Own(branch) => Ok(Arc::clone(branch)),
            Source::Resource(slot) => slot
                .get()
                .and_then(Processor::inside)
                .and_then(|inside| inside.downcast().ok())
                .ok_or_else(|| format!("missing branch resource: {name}")),
        };
        self.branches.iter().map(|entry| Ok((entry.0.as_str(), hold(entry)?))).collect()
    }

    /// The branches that a message says it needs no more, or was not asked to go through.
    fn left_out(&self, message: &Message) -> BTreeSet<&str> {
        let told = if self.meta_path.is_empty() { None } else { message.value().ok() };
        let Some(told) = told.and_then(|value| value.get_path(&self.meta_path)) else {
            return BTreeSet::new();
        };
        let names = |key: &str| {
            let items = told.member(key.as_bytes()).and_then(|list| list.to_array()).unwrap_or_default();
            items.iter().filter_map(|item| Some(item.as_str()?.into_owned())).collect::<BTreeSet<_>>()
        };
        let (skipped, apply, succeeded) = (names("skipped"), names("apply"), names("succeeded"));
        let is_left_out = |name: &&String| {
            let applied = apply.is_empty() || apply.contains(*name);
            let done = succeeded.contains(*name) || (apply.is_empty() && skipped.contains(*name));
            done || !applied
        };
        self.branches.keys().filter(is_left_out).map(String::as_str).collect()
    }

    /// Writes into a message how its branches went, or flags it where that is written nowhere.
    fn tell(&self, message: &mut Message, record: Record<'_>) {
        let (mut skipped, mut failed) = (Vec::new(), Object::new());
        let succeeded = self.branches.keys().filter(|name| !record.contains_key(name.as_str()));
        let succeeded: Vec<Value> = succeeded.map(|name| Value::from(name.as_str())).collect();
        for (name, outcome) in record {
            match outcome {
                Outcome::Skipped => skipped.push(Value::from(name)),
                Outcome::Failed(text) => failed.insert(name, Value::from(text.as_str())),
            }
        }
        if self.meta_path.is_empty() {
            if !failed.is_empty() {
                let names: Vec<_> =
                    failed.keys().map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
                flag(message, format!("workflow branches failed: {}", listed(&names)));
            }
            return;
        }
        let previous = match compat::structured(message) {
            Err(text) => return flag(message, text),
            Ok(value) if !matches!(value.kind(), Kind::Object | Kind::Array | Kind::Null) => return,
            Ok(value) => value.get_path(&self.meta_path).filter(|value| !value.is_null()),
        };
        let mut told = Object::new();
        if !succeeded.is_empty() {
            told.insert("succeeded", Value::from(succeeded));
        }
        if !skipped.is_empty() {
            told.insert("skipped", Value::from(skipped));
        }
        if !failed.is_empty() {
            told.insert("failed", Value::object(failed));
        }
        if let Some(previous) = previous {
            told.insert("previous", previous);
        }
        // Where a scalar stands in the way, nothing is told.
        if let Ok(value) = message.value_mut() {
            drop(value.set_path(&self.meta_path, Value::object(told)));
        }
    }

    async fn run(&self, batch: &mut [Message], held: &Held<'_>, order: &Tiers) -> Result<(), Error> {
        let left_out: Vec<_> = batch.iter().map(|message| self.left_out(message)).collect();
        let mut records: Vec<Record<'_>> = batch.iter().map(|_| Record::new()).collect();
        for tier in order {
            let (seen, left_out) = (&*batch, &left_out);
            let branches = tier.iter().filter_map(|name| held.get_key_value(name.as_str()));
            let work = branches.map(|(name, branch)| async move {
                let is_left_out =
                    |index: usize| left_out.get(index).is_some_and(|names| names.contains(name));
                let mut requests = branch.requests(seen, is_left_out);
                requests.messages.iter_mut().for_each(|message| trace::enter(message, name));
                let made = branch.work(&mut requests).await?;
                Ok::<_, Error>((*name, branch, requests, made))
            });
            for (name, branch, requests, made) in try_join_all(work).await? {
                let absent: Vec<_> = requests.absent.iter().map(|index| (*index, Outcome::Skipped)).collect();
                let failed = branch.apply(batch, requests, made);
                let failed = failed.into_iter().map(|(index, text)| (index, Outcome::Failed(text)));
                for (index, outcome) in absent.into_iter().chain(failed) {
                    if let Some(record) = records.get_mut(index) {
                        record.insert(name, outcome);
                    }
                }
            }
        }
        for (message, record) in batch.iter_mut().zip(records) {
            self.tell(message, record);
        }
        Ok(())
    }
}

/// The tiers that the branches' mappings need.
fn tiers(held: &Held<'_>) -> Result<Tiers, String> {
    let needs = |name: &str, branch: &Branch| -> BTreeSet<&str> {
        held.iter()
            .filter(|(other, needed)| **other != name && branch.needs(needed))
            .map(|(other, _)| *other)
            .collect()
    };
    let mut left: BTreeMap<&str, _> =
        held.iter().map(|(name, branch)| (*name, needs(name, branch))).collect();
    let mut tiers = Tiers::new();
    while !left.is_empty() {
        let tier: Vec<&str> =
            left.iter().filter(|(_, needs)| needs.is_empty()).map(|(name, _)| *name).collect();
        if tier.is_empty() {
            let names: Vec<_> = left.keys().collect();
            return Err(format!(
                "failed to automatically resolve DAG, circular dependencies detected for branches: {}",
                listed(&names)
            ));
        }
        for name in &tier {
            left.remove(name);
            left.values_mut().for_each(|needs| needs.retain(|needed| needed != name));
        }
        tiers.push(tier.into_iter().map(str::to_owned).collect());
    }
    Ok(tiers)
}

/// Names as the reference prints lists.
fn listed(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!("[{}]", names.join(" "))
}

#[async_trait]
impl Processor for Workflow {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let resolve = |held: &Held<'_>| match &self.order {
            Some(order) => Ok(Cow::Borrowed(order)),
            None => tiers(held).map(Cow::Owned).map_err(|text| format!("failed to resolve DAG: {text}")),
        };
        match self.held().and_then(|held| Ok((resolve(&held)?, held))) {
            Ok((order, held)) => self.run(&mut batch, &held, &order).await?,
            Err(text) => {
                self.log.error(format_args!("Failed to establish workflow: {text}"));
                batch.iter_mut().for_each(|message| flag(message, &*text));
            }
        }
        Ok(one(batch))
    }

    async fn close(&self) {
        for source in self.branches.values() {
            if let Source::Own(branch) = source {
                branch.close().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};
    use std::time::Duration;
    use tokio::time::Instant;

    fn branch(name: &str, request: &str, child: &str) -> String {
        format!(
            "{name}: {{ request_map: '{request}', processors: [ {child} ], result_map: 'root.{name} = content().string()' }}"
        )
    }

    fn workflow(more: &str, branches: &[String]) -> String {
        format!("workflow: {{ {more}, branches: {{ {} }} }}", branches.join(", "))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_needed_is_waited_for() {
        let sleep = "{ sleep: { duration: 1s } }";
        let branches = [
            branch("c", "root = this.a + this.b", sleep),
            branch("b", "root = 2", sleep),
            branch("a", "root = 1", sleep),
        ];
        let began = Instant::now();
        let out = run(&workflow("meta_path: ''", &branches), &["{}"]).await;
        assert_eq!(shown(&out), [[r#"{"a":"1","b":"2","c":"12"}"#]]);
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn each_message_tells_how_it_went() {
        let fails = r#"{ mapping: 'root = if this == 2 { throw("no") }' }"#;
        let branches = [
            branch("a", "root = if this.x == 3 { deleted() } else { this.x }", fails),
            branch("b", "root = 1", fails),
        ];
        let config = workflow("meta_path: m", &branches);
        let batch = [r#"{"x":1,"m":{"apply":["a"]}}"#, r#"{"x":2}"#, r#"{"x":3}"#, "5"];
        let out = run(&config, &batch).await;
        let want = [
            r#"{"a":"1","m":{"previous":{"apply":["a"]},"skipped":["b"],"succeeded":["a"]},"x":1}"#,
            r#"{"b":"1","m":{"failed":{"a":"processors failed: failed assignment (line 1): no"},"succeeded":["b"]},"x":2}"#,
            r#"{"b":"1","m":{"skipped":["a"],"succeeded":["b"]},"x":3}"#,
            "5",
        ];
        assert_eq!(shown(&out), [want]);
        assert!(out[0].iter().all(|message| message.error().is_none()));
    }

    #[test]
    fn orders_that_cannot_be_are_refused() {
        let noop = "{ noop: {} }";
        let circle = [branch("a", "root = this.b", noop), branch("b", "root = @x | this.a", noop)];
        for (more, branches, want) in [
            ("meta_path: m", &circle[..], "circular dependencies detected for branches: [a b]"),
            ("order: [[a], [b, a]]", &circle[..], "branch specified in order listed multiple times: a"),
            ("order: [[a]]", &circle[..], "the following branches were missing from order: [b]"),
            ("order: [[]]", &circle[..1], "explicit order tier '0' was empty"),
            (
                "order: []",
                &[branch("a.b", "", noop)],
                "workflow branch name 'a.b' contains invalid characters",
            ),
        ] {
            let error = try_build(&workflow(more, branches)).err().unwrap().to_string();
            assert!(error.ends_with(want), "{error}");
        }
    }
}
