//! One unit test, done.

use super::{
    super::{environment::Variables, walk::unreadable},
    definition::{Case, Content, Given},
    target::{Processors, Target},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::runtime::{Builder, Runtime};
use weir_core::{bloblang::Message, registry::Registry};

/// Why a case failed.
pub(super) struct Failure {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) reason: String,
}

/// Runs cases one after the other, since variables are those of the process.
pub(super) struct Runner<'a> {
    registry: &'a Arc<Registry>,
    resources: Vec<PathBuf>,
    variables: &'a Variables,
    runtime: Runtime,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        registry: &'a Arc<Registry>,
        resources: &[String],
        variables: &'a Variables,
    ) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("threads cannot be started: {error}"))?;
        let resources = crate::resource_files::paths(resources);
        Ok(Self { registry, resources, variables, runtime })
    }

    /// Does a case of the config at `path`; gives what failed. The error is that it could not be done at all.
    pub(super) fn run(&self, path: &str, case: &Case) -> Result<Vec<Failure>, String> {
        let variables = self.variables.with(&case.environment);
        variables.publish();
        let done = self.done(path, case, &variables);
        self.variables.publish();
        Ok(done?
            .into_iter()
            .map(|reason| Failure { name: case.name.clone(), line: case.line, reason })
            .collect())
    }

    fn done(&self, path: &str, case: &Case, variables: &Variables) -> Result<Vec<String>, String> {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let _entered = self.runtime.enter();
        let target = Target { path, folder, registry: self.registry, resources: &self.resources, variables };
        let processors = if case.mapping.is_empty() {
            let failed = |error| format!("failed to initialise processors '{}': {error}", case.processors);
            target.processors(&case.processors, &case.mocks).map_err(failed)?
        } else {
            let failed = |error| format!("failed to initialise Bloblang mapping '{}': {error}", case.mapping);
            target.mapping(&case.mapping).map_err(failed)?
        };
        let mut output = Vec::new();
        let mut reasons = Vec::new();
        for batch in &case.input {
            let mut messages = Vec::with_capacity(batch.len());
            for (index, given) in batch.iter().enumerate() {
                let made = message(given, folder);
                messages.push(made.map_err(|error| format!("failed to create test input {index}: {error}"))?);
            }
            match self.runtime.block_on(through(&processors, messages)) {
                Ok(batches) => output.extend(batches),
                Err(error) => reasons.push(format!("processors resulted in error: {error}")),
            }
        }
        compare(case, &output, folder, &mut reasons);
        Ok(reasons)
    }
}

fn message(given: &Given, folder: &Path) -> Result<Message, String> {
    let content = match &given.content {
        Content::Text(text) => text.clone(),
        Content::File(path) => {
            let path = folder.join(path);
            fs::read(&path).map_err(|error| unreadable(&path.to_string_lossy(), &error))?
        }
    };
    let mut message = Message::new(content);
    for (name, value) in &given.metadata {
        message.metadata_mut().set(name.as_str(), value.clone());
    }
    Ok(message)
}

/// What becomes of a batch.
async fn through(processors: &Processors, batch: Vec<Message>) -> Result<Vec<Vec<Message>>, String> {
    let mut batches = vec![batch];
    for processor in processors {
        let mut next = Vec::new();
        for batch in batches {
            next.extend(processor.process(batch).await.map_err(|error| error.to_string())?);
        }
        batches = next;
    }
    Ok(batches)
}

fn compare(case: &Case, output: &[Vec<Message>], folder: &Path, reasons: &mut Vec<String>) {
    let (wanted, got) = (case.output.len(), output.len());
    if got < wanted {
        reasons.push(format!("wrong batch count, expected {wanted}, got {got}"));
    }
    for (number, batch) in output.iter().enumerate() {
        let Some(wanted) = case.output.get(number) else {
            let contents: Vec<_> =
                batch.iter().map(|message| String::from_utf8_lossy(message.content())).collect();
            reasons.push(format!("unexpected batch: [{}]", contents.join(" ")));
            continue;
        };
        if wanted.len() != batch.len() {
            reasons.push(format!(
                "mismatch of output batch {number} message counts, expected {}, got {}",
                wanted.len(),
                batch.len()
            ));
        }
        for (index, message) in batch.iter().enumerate() {
            let Some(conditions) = wanted.get(index) else {
                let content = String::from_utf8_lossy(message.content());
                reasons.push(format!("unexpected message from batch {number}: {content}"));
                continue;
            };
            let place = format!("batch {number} message {index}");
            let before = reasons.len();
            let failed = conditions.iter().filter_map(|condition| condition.check(message, folder).err());
            reasons.extend(failed.map(|reason| format!("{place}: {reason}")));
            if let Some(error) = message.error().filter(|_| reasons.len() > before) {
                reasons.push(format!("{place}: {}", error.text));
            }
        }
    }
}
