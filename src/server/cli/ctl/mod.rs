//! `weir ctl`: what the API offers, at the terminal and for scripts.

mod client;
mod ids;
mod print;
mod set;

use clap::{Args, Subcommand, ValueEnum};
use client::{Client, Failure};
use http::Method;
use print::Printer;
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use tokio::time::Instant;

/// How often a stream is looked at that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Arguments of `ctl`.
#[derive(Debug, Args)]
pub(crate) struct CtlArgs {
    /// The server [default: `$WEIR_SERVER`, or `http://127.0.0.1:4195`].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// A token for the server [default: `$WEIR_TOKEN`, which other users of the machine do not see].
    #[arg(long, global = true)]
    token: Option<String>,
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
    /// Stream files, folders of them, or globs; ids are made of their paths as `weir streams` does. May be repeated.
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    files: Vec<String>,
    /// They are all streams there shall be: the others are removed, and all is one commit.
    #[arg(long)]
    prune: bool,
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
        /// A remark that is kept with the change.
        #[arg(long)]
        note: Option<String>,
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
    Delete {
        /// The streams.
        #[arg(required = true, add = ids::streams())]
        ids: Vec<String>,
    },
    /// Stops streams; they keep their positions.
    Pause {
        /// The streams.
        #[arg(required = true, add = ids::streams())]
        ids: Vec<String>,
    },
    /// Lets paused streams run on.
    Resume {
        /// The streams.
        #[arg(required = true, add = ids::streams())]
        ids: Vec<String>,
    },
    /// Builds streams anew and runs them again.
    Restart {
        /// The streams.
        #[arg(required = true, add = ids::streams())]
        ids: Vec<String>,
    },
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
    },
    /// Lists streams of files that the API has changed.
    Drift,
    /// Makes streams what their files say again.
    Revert {
        /// The streams.
        #[arg(required = true, add = ids::streams())]
        ids: Vec<String>,
    },
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
    /// Waits until a stream is in a phase; exits with 3 if it does not come.
    Wait {
        /// The stream.
        #[arg(add = ids::streams())]
        id: String,
        /// The phase, such as running or completed.
        #[arg(long = "for", value_name = "PHASE", default_value = "running")]
        phase: String,
        /// How long to wait.
        #[arg(long, value_name = "DURATION", default_value = "60s")]
        timeout: String,
    },
    /// Writes all streams and resources into a folder, a file each.
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

/// Does what is asked for.
pub(super) fn ctl(args: CtlArgs) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("threads cannot be started: {error}"))?;
    let client = Client::of(args.server, args.token)?;
    let printer = Printer::new(args.output);
    let ended = runtime.block_on(async {
        tokio::select! {
            done = perform(args.verb, &client, &printer) => done,
            signal = crate::serve::signal() => signal.map(|_| Outcome::Done).map_err(Failure::Refused),
        }
    });
    let outcome = ended.unwrap_or_else(|failure| {
        let (outcome, text) = match failure {
            Failure::Refused(text) => (Outcome::Refused, text),
            Failure::Unreachable(text) => (Outcome::Unreachable, text),
            Failure::TimedOut(text) => (Outcome::TimedOut, text),
        };
        eprintln!("{text}");
        outcome
    });
    Ok(ExitCode::from(outcome as u8))
}

async fn perform(verb: Verb, client: &Client, printer: &Printer) -> Result<Outcome, Failure> {
    match verb {
        Verb::Get { kind, id } => get(client, printer, &kind, id.as_deref()).await,
        Verb::Status { id } => {
            let told = client.get(&["streams", &id, "status"], &[]).await?.json()?;
            printer.one(&told)
        }
        Verb::Apply { files, dry_run, probation, note } => {
            let options = set::Options { prune: files.prune, dry_run, probation, note };
            set::apply(client, printer, &files.files, &options).await
        }
        Verb::Diff { files } => {
            let options = set::Options { prune: files.prune, dry_run: true, ..set::Options::default() };
            set::apply(client, printer, &files.files, &options).await
        }
        Verb::Plan { id: Some(id), files, sample, time } => {
            let query = [("sample", sample.map(|count| count.to_string())), ("for", time)];
            set::trial(client, printer, &id, &files, &given(query)).await
        }
        Verb::Plan { id: None, files, .. } => {
            let options = set::Options { prune: true, dry_run: true, ..set::Options::default() };
            match set::apply(client, printer, &files, &options).await? {
                Outcome::Differs => Ok(Outcome::Done),
                other => Ok(other),
            }
        }
        Verb::Delete { ids } => each(client, printer, &ids, Method::DELETE, None, "removed").await,
        Verb::Pause { ids } => each(client, printer, &ids, Method::POST, Some("pause"), "paused").await,
        Verb::Resume { ids } => each(client, printer, &ids, Method::POST, Some("resume"), "resumed").await,
        Verb::Restart { ids } => {
            each(client, printer, &ids, Method::POST, Some("restart"), "restarted").await
        }
        Verb::Revert { ids } => {
            each(client, printer, &ids, Method::POST, Some("revert"), "what its file says").await
        }
        Verb::History { id } => {
            let told = client.get(&["streams", &id, "history"], &[]).await?.json()?;
            printer.list(&told, &["generation", "revision", "time", "actor", "verb", "outcome", "note"])
        }
        Verb::Rollback { id, to } => {
            let query: Vec<_> = to.map(|to| ("to", to.to_string())).into_iter().collect();
            let told = client.send(Method::POST, &["streams", &id, "rollback"], &query, None).await?;
            printer.done(&told, &format!("stream {id} is rolled back"))
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
            client.stream(&["events"], &query, printer).await
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
        Verb::Export { folder } => set::export(client, &folder).await,
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
    method: Method,
    verb: Option<&str>,
    done: &str,
) -> Result<Outcome, Failure> {
    let mut worst = Outcome::Done;
    for id in ids {
        let path: Vec<&str> = ["streams", id].into_iter().chain(verb).collect();
        match client.send(method.clone(), &path, &[], None).await {
            Ok(told) => drop(printer.done(&told, &format!("stream {id} is {done}"))?),
            Err(Failure::Refused(text)) => {
                eprintln!("stream {id}: {text}");
                worst = Outcome::Refused;
            }
            Err(other) => return Err(other),
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
        if Instant::now() >= end {
            let reason = told.get("reason").and_then(Value::as_str).unwrap_or("no reason is known");
            return Err(Failure::TimedOut(format!("stream {id} is {now} after {timeout}: {reason}")));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
