//! Sets of streams and resources as files: applied, compared, written out.

use super::{
    Outcome,
    client::{Answer, Client, Failure},
    files::{self, Members},
    print::Printer,
};
use http::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{Error, ErrorKind},
    path::Path,
};
use weir_config::normalise::SCRUBBED;
use weir_control::record::{Key, Kind};

/// How a set is applied.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Whether there shall be no other streams.
    pub(super) prune: bool,
    /// Whether nothing is changed, only told.
    pub(super) dry_run: bool,
    /// What the server is told with each change.
    pub(super) query: Vec<(&'static str, String)>,
}

/// Makes streams and resources what files say, or tells what that would change.
pub(super) async fn apply(
    client: &Client,
    printer: &Printer,
    paths: &[String],
    options: &Options,
) -> Result<Outcome, Failure> {
    let members = files::members(paths)?;
    let mut query = options.query.clone();
    query.extend(options.dry_run.then(|| ("dry_run", "true".into())));
    let known = all(client).await?;
    let newest = client.get(&["revisions"], &[("limit", "1".into())]).await?.json()?;
    let mut revision = Some(newest[0]["revision"].as_u64().unwrap_or_default());
    let (mut plans, mut unchanged, mut worst) = (Vec::new(), 0, Outcome::Done);
    let mut planned = |answer: &Answer| -> Result<(), Failure> {
        let plan = answer.json()?;
        unchanged += plan["unchanged"].as_u64().unwrap_or_default();
        plans.extend(plan["changes"].as_array().cloned().unwrap_or_default());
        Ok(())
    };
    let mut pending: Vec<_> =
        members.iter().filter(|(key, _)| !(options.prune && key.kind == Kind::Stream)).collect();
    let count = pending.len();
    let of = |key: &Key| format!("{} {}", key.kind.name(), key.id);
    let complain = |refused: &[(&Key, &String, String)]| {
        refused.iter().for_each(|(key, _, reason)| printer.complain(&format!("{}: {reason}", of(key))));
    };
    let mut done = 0;
    while !pending.is_empty() {
        let mut refused = Vec::new();
        for (key, text) in &pending {
            printer.progress(&format!("{key}, {} of {count}", done + 1));
            let exists = known.contains(key);
            let sent = send(client, key, text, (exists, revision), &query).await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(Failure::Refused(reason)) => {
                    refused.push((*key, *text, reason));
                    continue;
                }
                Err(Failure::Underway(text, as_revision)) => {
                    (revision, done) = (as_revision, done + 1);
                    worst = worst.after(Failure::Underway(text, as_revision), &of(key), printer)?;
                    continue;
                }
                Err(failure) => {
                    complain(&refused);
                    return Err(failure);
                }
            };
            done += 1;
            if options.dry_run {
                planned(&answer)?;
                continue;
            }
            // What changed nothing is no revision.
            let same = std::mem::replace(&mut revision, answer.revision) == answer.revision;
            let did = match (exists, same) {
                (false, _) => "created",
                (true, true) => "unchanged",
                (true, false) => "changed",
            };
            printer.done(&answer, key, did)?;
        }
        // Those that need what came after them are tried again, as long as that helps.
        let helped = refused.len() < pending.len();
        pending = refused.iter().map(|(key, text, _)| (*key, *text)).collect();
        if !helped {
            complain(&refused);
            worst = Outcome::Refused;
            break;
        }
    }
    if options.prune {
        printer.progress("all streams at once");
        let answer = client.send(Method::POST, &["streams"], &query, Some(files::whole(&members)?)).await?;
        if options.dry_run {
            planned(&answer)?;
        } else {
            let count = members.keys().filter(|key| key.kind == Kind::Stream).count();
            let told = json!({ "streams": count, "revision": answer.revision });
            printer.said(&told, &format!("the {count} streams are all there are"))?;
        }
    }
    if options.dry_run {
        let plan = json!({ "revision": revision, "changes": plans, "unchanged": unchanged });
        let told = differences(printer, &plan)?;
        return Ok(if worst == Outcome::Done { told } else { worst });
    }
    Ok(worst)
}

/// Sends a member, unless it is there as it is.
async fn send(
    client: &Client,
    key: &Key,
    text: &str,
    (exists, revision): (bool, Option<u64>),
    query: &[(&'static str, String)],
) -> Result<Answer, Failure> {
    if exists && stored(client, key).await?.trim_end() == text.trim_end() {
        // Sent again, a stream that has ended would run again.
        return Ok(Answer::unchanged(revision));
    }
    let method = if exists && key.kind == Kind::Stream { Method::PUT } else { Method::POST };
    client.send(method, &path(key), query, Some(text.to_owned())).await
}

/// Shows a plan.
fn differences(printer: &Printer, plan: &Value) -> Result<Outcome, Failure> {
    let changes = plan["changes"].as_array().map_or(&[][..], Vec::as_slice);
    printer.plan(plan, &told(changes, &plan["unchanged"]))?;
    Ok(if changes.is_empty() { Outcome::Done } else { Outcome::Differs })
}

/// A plan for people: the diffs, then a line each.
fn told(changes: &[Value], unchanged: &Value) -> String {
    let mut text: String = changes.iter().filter_map(|change| change["diff"].as_str()).collect();
    for change in changes {
        let word = |name: &str| change[name].as_str().unwrap_or_default();
        let restart = if change["restart"] == true { ", restarts" } else { "" };
        let error = change["error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
        let _written = writeln!(text, "{} {} {}{restart}{error}", word("action"), word("kind"), word("id"));
    }
    let _written = writeln!(text, "{} changed, {unchanged} unchanged", changes.len());
    text
}

/// What a file would change in one stream and in its data.
pub(super) async fn trial(
    client: &Client,
    printer: &Printer,
    id: &str,
    paths: &[String],
    query: &[(&str, String)],
) -> Result<Outcome, Failure> {
    let mut all = files::members(paths)?;
    all.retain(|key, _| key.kind == Kind::Stream);
    let only = (all.len() == 1).then(|| all.pop_first()).flatten();
    let text = all.remove(&Key::stream(id)).or(only.map(|(_, text)| text));
    let text = text.ok_or_else(|| Failure::Refused(format!("no file is stream {id}")))?;
    let body = files::whole(&Members::from([(Key::stream("spec"), text)]))?;
    let plan = client.send(Method::POST, &["streams", id, "plan"], query, Some(body)).await?.json()?;
    let changes = plan["changes"].as_array().map_or(&[][..], Vec::as_slice);
    printer.plan(&plan, &format!("{}{}", told(changes, &plan["unchanged"]), data(&plan["data"])))
}

/// What differs in the data, for people.
fn data(data: &Value) -> String {
    let all = |name: &str| data[name].as_array().map_or(&[][..], Vec::as_slice);
    let mut text: String = all("changed").iter().filter_map(|one| one["diff"].as_str()).collect();
    for one in all("newly_failing") {
        let _written =
            writeln!(text, "message {} fails: {}", one["index"], one["error"].as_str().unwrap_or_default());
    }
    for one in all("left_out").iter().filter_map(Value::as_str) {
        let _written = writeln!(text, "left out: {one}");
    }
    let (changed, dropped, added, failing) =
        (all("changed").len(), all("dropped").len(), all("added").len(), all("newly_failing").len());
    let _written = writeln!(
        text,
        "of {} messages {} stay the same, {changed} change, {dropped} are dropped, {added} added, {failing} newly fail",
        data["messages"], data["same"]
    );
    text
}

/// A stream as it was submitted.
pub(super) async fn stream(client: &Client, id: &str) -> Result<Value, Failure> {
    client.get(&["streams", id], &[("full", "true".into())]).await?.json()
}

/// An entry of a list by its kind and id.
pub(super) fn name(kind: &str, entry: &Value) -> String {
    format!("{kind}:{}", entry["id"].as_str().unwrap_or_default())
}

/// All resources.
pub(super) async fn resources(client: &Client) -> Result<Value, Failure> {
    client.all(&["resources"], |entry| name(entry["type"].as_str().unwrap_or_default(), entry)).await
}

/// All there is.
async fn all(client: &Client) -> Result<BTreeSet<Key>, Failure> {
    let streams = client.get(&["streams"], &[]).await?.json()?;
    let streams = streams.as_object().into_iter().flatten().map(|(id, _)| Key::stream(id.as_str()));
    let resources = resources(client).await?;
    let resources = resources.as_array().into_iter().flatten();
    let key = |one: &Value| Some(Key::new(Kind::parse(one["type"].as_str()?)?, one["id"].as_str()?));
    Ok(streams.chain(resources.filter_map(key)).collect())
}

fn path(key: &Key) -> Vec<&str> {
    match key.kind {
        Kind::Stream => vec!["streams", &key.id],
        kind => vec!["resources", kind.name(), &key.id],
    }
}

/// The text of what is there.
async fn stored(client: &Client, key: &Key) -> Result<String, Failure> {
    let told = match key.kind {
        Kind::Stream => stream(client, &key.id).await?,
        _ => client.get(&path(key), &[]).await?.json()?,
    };
    Ok(told["text"].as_str().unwrap_or_default().to_owned())
}

/// Writes all streams and resources into a folder, and removes what an earlier export wrote of those that are gone.
pub(super) async fn export(client: &Client, printer: &Printer, folder: &Path) -> Result<Outcome, Failure> {
    let failed = |path: &Path, error: &Error| Failure::Refused(format!("{}: {error}", path.display()));
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        let place = path.parent().map_or(Ok(()), fs::create_dir_all);
        place.and_then(|()| fs::write(&path, text)).map_err(|error| failed(&path, &error))
    };
    let known = all(client).await?;
    let mut written = BTreeSet::new();
    for (index, key) in known.iter().enumerate() {
        printer.progress(&format!("{key}, {} of {}", index + 1, known.len()));
        let text = stored(client, key).await?;
        if text.contains(SCRUBBED) {
            let why = "its secrets are hidden from this token: export with one of the scope write";
            return Err(Failure::Refused(format!("{} {}: {why}", key.kind.name(), key.id)));
        }
        let (name, text) = files::exported(key, text)?;
        write(&name, &text)?;
        written.insert(name);
    }
    let before = fs::read_to_string(folder.join(files::LIST)).unwrap_or_default();
    for stale in before.lines().filter(|name| files::is_exported(name) && !written.contains(*name)) {
        let path = folder.join(stale);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&path, &error)),
            _ => {}
        }
    }
    let list: Vec<&str> = written.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
    write(files::LIST, &list.concat())?;
    let (count, place) = (written.len(), folder.display());
    printer.said(
        &json!({ "files": written, "folder": place.to_string() }),
        &format!("{count} files are in {place}"),
    )
}
