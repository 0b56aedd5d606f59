//! `weir ctl`: what the API offers, at the terminal and for scripts.

mod client;
mod files;
mod ids;
mod phase;
mod print;
mod set;

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValuesParser};
use client::{Client, Failure, Reach};
use http::Method;
use print::Printer;
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use tokio::time::Instant;
use weir_control::record::Key;

/// How often a stream is looked at that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Arguments of `ctl`.
#[derive(Debug, Args)]
pub(crate) struct CtlArgs {
    #[command(flatten)]
    reach: Reach,
    /// How answers are shown.
    #[arg(short, long, global = true, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(subcommand)]
    verb: Verb,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Columns, for people.
    Table,
    /// The server's answer.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Files that stand for a set of streams.
#[derive(Debug, Args)]
struct Files {
    /// Stream files, files of resources, folders of them, globs, or folders of `export`; ids are made of their paths as
    /// `weir streams` does, and %20 in them is a space. May be repeated.
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    files: Vec<String>,
    /// They are all streams there shall be: the others are removed, and all is one commit. Resources stay.
    #[arg(long)]
    prune: bool,
}

/// What every change takes.
#[derive(Debug, Default, Args)]
struct Write {
    /// A remark that is kept with the change.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Changes streams of files too where the server is strict about them; after so long, the file counts again.
    #[arg(long = "override", value_name = "DURATION", requires = "reason")]
    within: Option<String>,
    /// Why they are changed.
    #[arg(long, value_name = "TEXT", requires = "within")]
    reason: Option<String>,
}

impl Write {
    fn query(self) -> Vec<(&'static str, String)> {
        given([("note", self.note), ("override", self.within), ("reason", self.reason)])
    }
}

/// Streams, and how they are changed.
#[derive(Debug, Args)]
struct Named {
    /// The streams.
    #[arg(required = true, add = ids::streams())]
    ids: Vec<String>,
    #[command(flatten)]
    write: Write,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists streams or resources, or shows one as it was submitted.
    Get {
        /// `streams` or `resources`.
        #[arg(default_value = "streams")]
        kind: String,
        /// A stream's id, or TYPE/ID of a resource.
        #[arg(add = ids::all())]
        id: Option<String>,
    },
    /// Says where a stream is, and why.
    Status {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
    },
    /// Makes streams what files say, creating and changing them.
    Apply {
        #[command(flatten)]
        files: Files,
        /// Shows what would be changed, and changes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Rolls a change back that does not run well for so long.
        #[arg(long, value_name = "DURATION")]
        probation: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Shows how the server's streams differ from files; exits with 4 if they do.
    Diff {
        #[command(flatten)]
        files: Files,
    },
    /// Shows what would be changed if files were all streams there shall be; or of one stream, what its file would
    /// change in the data.
    Plan {
        /// A stream: its processors and those of the file see the same messages, and nothing is sent.
        #[arg(add = ids::streams())]
        id: Option<String>,
        /// Stream files, folders of them, or globs. May be repeated.
        #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
        files: Vec<String>,
        /// How many messages of the stream are looked at.
        #[arg(long, value_name = "COUNT", requires = "id")]
        sample: Option<u64>,
        /// How long messages are waited for.
        #[arg(long = "for", value_name = "DURATION", requires = "id")]
        time: Option<String>,
    },
    /// Removes streams.
    Delete(Named),
    /// Stops streams; they keep their positions.
    Pause(Named),
    /// Lets paused streams run on.
    Resume(Named),
    /// Builds streams anew and runs them again.
    Restart(Named),
    /// Lists the generations of a stream.
    History {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
    },
    /// Makes an earlier generation of a stream a new one.
    Rollback {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
        /// The generation; without one, the last that was healthy.
        #[arg(long, value_name = "GENERATION")]
        to: Option<u64>,
        /// Rolls it back in turn if it does not run well for so long.
        #[arg(long, value_name = "DURATION")]
        probation: Option<String>,
        #[command(flatten)]
        write: Write,
    },
    /// Lists streams of files that the API has changed.
    Drift,
    /// Makes streams what their files say again.
    Revert(Named),
    /// Prints what happened; one JSON object a line.
    Events {
        /// Goes on with what happens.
        #[arg(short, long)]
        follow: bool,
        /// Only what came after this revision.
        #[arg(long, value_name = "REVISION")]
        since: Option<u64>,
    },
    /// Prints messages as they pass through a stream.
    Tap {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
        /// Where: input, output, or a component's path such as pipeline.processors.1.
        #[arg(long, value_name = "POINT")]
        at: Option<String>,
        /// How many.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
        /// For how long.
        #[arg(long = "for", value_name = "DURATION")]
        time: Option<String>,
        /// Fields that are masked, with commas between.
        #[arg(long, value_name = "FIELDS")]
        redact: Option<String>,
    },
    /// Waits until a stream is in a phase; exits with 3 if it does not come in time, with 1 if it cannot come.
    Wait {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
        /// The phase, such as running or completed.
        #[arg(long = "for", value_name = "PHASE", default_value = "running", ignore_case = true,
            value_parser = PossibleValuesParser::new(phase::names()))]
        phase: String,
        /// How long to wait.
        #[arg(long, value_name = "DURATION", default_value = "60s")]
        timeout: String,
    },
    /// Writes all streams and resources into a folder, a file each; files that it wrote before of what is gone are
    /// removed.
    Export {
        /// The folder; it is made if need be.
        folder: PathBuf,
    },
}

/// How it went, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done = 0,
    Refused = 1,
    Unreachable = 2,
    TimedOut = 3,
    Differs = 4,
}

impl Outcome {
    /// How it went on the whole, after a failure that others are not held up by; it is said.
    fn after(self, failure: Failure, of: &str, printer: &Printer) -> Result<Self, Failure> {
        let (text, outcome) = match failure {
            Failure::Refused(text) => (text, Self::Refused),
            Failure::Underway(text, _) => (text, Self::TimedOut),
            // A server that does not answer is not asked again and again.
            failure => return Err(failure),
        };
        printer.complain(&format!("{of}: {text}"));
        Ok(if self == Self::Done { outcome } else { self })
    }
}

/// Does what is asked for.
pub(super) fn ctl(args: CtlArgs, chilled: bool) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("threads cannot be started: {error}"))?;
    let client = Client::of(args.reach)?;
    let printer = Printer::new(args.output);
    let ended = runtime.block_on(async {
        tokio::select! {
            done = perform(args.verb, chilled, &client, &printer) => done,
            signal = crate::serve::signal() => signal.map(|_| Outcome::Done).map_err(Failure::Refused),
        }
    });
    let outcome = ended.unwrap_or_else(|failure| {
        let (outcome, text) = match failure {
            Failure::Refused(text) => (Outcome::Refused, text),
            Failure::Unreachable(text) => (Outcome::Unreachable, text),
            Failure::TimedOut(text) | Failure::Underway(text, _) => (Outcome::TimedOut, text),
        };
        printer.complain(&text);
        outcome
    });
    printer.clear();
    Ok(ExitCode::from(outcome as u8))
}

async fn perform(verb: Verb, chilled: bool, client: &Client, printer: &Printer) -> Result<Outcome, Failure> {
    let chilled = || chilled.then(|| ("chilled", "true".to_owned()));
    match verb {
        Verb::Get { kind, id } => get(client, printer, &kind, id.as_deref()).await,
        Verb::Status { id } => {
            let told = client.get(&["streams", &id, "status"], &[]).await?.json()?;
            printer.status(&id, &told)
        }
        Verb::Apply { files, dry_run, probation, write } => {
            let query = [write.query(), given([("probation", probation)])].concat();
            let query = query.into_iter().chain(chilled()).collect();
            let options = set::Options { prune: files.prune, dry_run, query };
            set::apply(client, printer, &files.files, &options).await
        }
        Verb::Diff { files } => {
            let query = chilled().into_iter().collect();
            let options = set::Options { prune: files.prune, dry_run: true, query };
            set::apply(client, printer, &files.files, &options).await
        }
        Verb::Plan { id: Some(id), files, sample, time } => {
            let query = given([("sample", sample.map(|count| count.to_string())), ("for", time)]);
            let query: Vec<_> = query.into_iter().chain(chilled()).collect();
            set::trial(client, printer, &id, &files, &query).await
        }
        Verb::Plan { id: None, files, .. } => {
            let query = chilled().into_iter().collect();
            let options = set::Options { prune: true, dry_run: true, query };
            match set::apply(client, printer, &files, &options).await? {
                Outcome::Differs => Ok(Outcome::Done),
                other => Ok(other),
            }
        }
        Verb::Delete(Named { ids, write }) => {
            each(client, printer, &ids, None, &write.query(), "removed").await
        }
        Verb::Pause(Named { ids, write }) => {
            each(client, printer, &ids, Some("pause"), &write.query(), "paused").await
        }
        Verb::Resume(Named { ids, write }) => {
            each(client, printer, &ids, Some("resume"), &write.query(), "resumed").await
        }
        Verb::Restart(Named { ids, write }) => {
            each(client, printer, &ids, Some("restart"), &write.query(), "restarted").await
        }
        Verb::Revert(Named { ids, write }) => {
            each(client, printer, &ids, Some("revert"), &write.query(), "what its file says").await
        }
        Verb::History { id } => {
            let told = client.get(&["streams", &id, "history"], &[]).await?.json()?;
            printer.list(
                &told,
                &["generation", "revision", "time", "actor", "verb", "outcome", "reason", "note"],
            )
        }
        Verb::Rollback { id, to, probation, write } => {
            let to = to.map(|to| to.to_string());
            let query = [write.query(), given([("to", to), ("probation", probation)])].concat();
            each(client, printer, &[id], Some("rollback"), &query, "rolled back").await
        }
        Verb::Drift => {
            let told = client.all(&["drift"], |entry| set::name("stream", entry)).await?;
            printer.list(
                &told,
                &["id", "file", "override.actor", "override.time", "override.expires", "override.reason"],
            )
        }
        Verb::Events { follow, since } => {
            let mut query = vec![("follow", follow.to_string())];
            query.extend(since.map(|since| ("since", since.to_string())));
            if follow {
                client.follow(&["events"], &query, printer).await
            } else {
                client.stream(&["events"], &query, printer).await
            }
        }
        Verb::Tap { id, at, limit, time, redact } => {
            let query = [
                ("at", at),
                ("limit", limit.map(|limit| limit.to_string())),
                ("for", time),
                ("redact", redact),
            ];
            client.stream(&["streams", &id, "tap"], &given(query), printer).await
        }
        Verb::Wait { id, phase, timeout } => wait(client, printer, &id, &phase, &timeout).await,
        Verb::Export { folder } => set::export(client, printer, &folder).await,
    }
}

/// The parameters that were given.
fn given<const N: usize>(query: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

async fn get(client: &Client, printer: &Printer, kind: &str, id: Option<&str>) -> Result<Outcome, Failure> {
    match (kind, id) {
        ("stream" | "streams", None) => {
            let told = client.get(&["streams"], &[]).await?.json()?;
            let rows = told.as_object().into_iter().flatten().map(|(id, entry)| {
                let mut row = entry.clone();
                row["id"] = id.as_str().into();
                row
            });
            printer.rows(
                &told,
                &rows.collect::<Vec<_>>(),
                &["id", "phase", "generation", "owner", "uptime_str", "reason"],
            )
        }
        ("stream" | "streams", Some(id)) => printer.text(&set::stream(client, id).await?),
        ("resource" | "resources", None) => {
            let told = set::resources(client).await?;
            printer.list(&told, &["type", "id", "phase", "generation", "owner", "dependents", "reason"])
        }
        ("resource" | "resources", Some(id)) => {
            let (kind, id) = id.split_once('/').ok_or_else(|| {
                Failure::Refused(format!("'{id}' names no type: a resource is TYPE/ID, such as cache/{id}"))
            })?;
            printer.text(&client.get(&["resources", kind, id], &[]).await?.json()?)
        }
        _ => Err(Failure::Refused(format!("'{kind}' can't be listed: it is streams or resources"))),
    }
}

/// The same with several streams; those behind one that fails are tried all the same.
async fn each(
    client: &Client,
    printer: &Printer,
    ids: &[String],
    verb: Option<&str>,
    query: &[(&str, String)],
    done: &str,
) -> Result<Outcome, Failure> {
    let mut worst = Outcome::Done;
    let method = if verb.is_some() { Method::POST } else { Method::DELETE };
    for (index, id) in ids.iter().enumerate() {
        printer.progress(&format!("stream {id}, {} of {}", index + 1, ids.len()));
        let path: Vec<&str> = ["streams", id].into_iter().chain(verb).collect();
        match client.send(method.clone(), &path, query, None).await {
            Ok(told) => drop(printer.done(&told, &Key::stream(id.as_str()), done)?),
            // The others are done all the same.
            Err(failure) => worst = worst.after(failure, &format!("stream {id}"), printer)?,
        }
    }
    Ok(worst)
}

async fn wait(
    client: &Client,
    printer: &Printer,
    id: &str,
    phase: &str,
    timeout: &str,
) -> Result<Outcome, Failure> {
    let limit = weir_core::duration::parse(timeout)
        .map_err(|_| Failure::Refused(format!("'{timeout}' is no duration such as 60s")))?;
    let end = Instant::now() + limit;
    loop {
        let told = client.get(&["streams", id, "status"], &[]).await?.json()?;
        let now = told.get("phase").and_then(Value::as_str).unwrap_or_default();
        if now.eq_ignore_ascii_case(phase) {
            return printer.said(&told, &format!("stream {id} is {now}"));
        }
        let reason = told.get("reason").and_then(Value::as_str).unwrap_or("no reason is known");
        if phase::is_final(now) {
            return Err(Failure::Refused(format!("stream {id} is {now}, and will not be {phase}: {reason}")));
        }
        if Instant::now() >= end {
            return Err(Failure::TimedOut(format!("stream {id} is {now} after {timeout}: {reason}")));
        }
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        printer.progress(&format!("stream {id} is {now}, {left}s left"));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
