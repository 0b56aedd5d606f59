//! Sets of streams as files: applied, compared, written out.

use super::{
    Outcome,
    client::{Client, Failure},
    given,
    print::Printer,
};
use crate::files::{Sources, first_of_each, read};
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};
use weir_config::{
    Node,
    tokens::{self, Tokens},
    write::to_yaml,
};
use weir_core::yaml;

/// How a set is applied.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// Whether there shall be no other streams.
    pub(super) prune: bool,
    /// Whether nothing is changed, only told.
    pub(super) dry_run: bool,
    /// How long a change must run well.
    pub(super) probation: Option<String>,
    /// A remark.
    pub(super) note: Option<String>,
}

impl Options {
    fn query(&self) -> Vec<(&'static str, String)> {
        let dry_run = self.dry_run.then(|| "true".to_owned());
        given([("dry_run", dry_run), ("probation", self.probation.clone()), ("note", self.note.clone())])
    }
}

/// The streams of files, by id.
fn streams(paths: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let found = Sources::new(paths).map_err(Failure::Refused)?.find();
    if let Some((path, complaint)) = found.complaints.first_key_value() {
        return Err(Failure::Refused(format!("{}: {complaint}", path.display())));
    }
    if let Some(folder) = found.missing().next() {
        return Err(Failure::Refused(format!("{} has no stream files", folder.display())));
    }
    let (files, doubles) = first_of_each(found.files);
    if let Some((double, first)) = doubles.first() {
        let text = format!("{} and {} are both stream {}", first.display(), double.path.display(), double.id);
        return Err(Failure::Refused(text));
    }
    let text = |path: &Path| {
        let text = read(path).and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        text.map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
    };
    files.into_iter().map(|file| Ok((file.id, text(&file.path)?))).collect()
}

/// All in one text; each keeps its own lines where these say the same below its id.
fn whole(streams: &BTreeMap<String, String>) -> Result<String, Failure> {
    let mut whole = String::new();
    for (id, text) in streams {
        let faulty = |error: weir_core::yaml::YamlError| Failure::Refused(format!("stream {id}: {error}"));
        let alone = tokens::parse(text).map_err(faulty)?;
        let key = to_yaml(&Node::string(id.as_str()));
        let lines = text.lines().map(|line| if line.is_empty() { line.into() } else { format!("  {line}") });
        let below = format!("{}:\n{}\n", key.trim_end(), lines.collect::<Vec<_>>().join("\n"));
        let same = tokens::parse(&below).is_ok_and(|node| node.get(id) == Some(&alone));
        if same {
            whole.push_str(&below);
        } else {
            let mut words = Tokens::avoiding(&[text]);
            let member = yaml::parse(&words.hide(text)).map_err(faulty)?;
            whole.push_str(&words.show(&to_yaml(&Node::map(vec![(Node::string(id.as_str()), member)]))));
        }
    }
    Ok(whole)
}

/// Makes streams what files say, or tells what that would change.
pub(super) async fn apply(
    client: &Client,
    printer: &Printer,
    paths: &[String],
    options: &Options,
) -> Result<Outcome, Failure> {
    let streams = streams(paths)?;
    if options.prune {
        let answer =
            client.send(Method::POST, &["streams"], &options.query(), Some(whole(&streams)?)).await?;
        if options.dry_run {
            return differences(printer, &answer.json()?);
        }
        return printer.done(&answer, &format!("the {} streams are all there are", streams.len()));
    }
    let before = client.get(&["streams"], &[]).await?.json()?;
    let newest = client.get(&["revisions"], &[("limit", "1".into())]).await?.json()?;
    let mut revision = Some(newest[0]["revision"].as_u64().unwrap_or_default());
    let (mut plans, mut unchanged, mut worst) = (Vec::new(), 0, Outcome::Done);
    for (id, text) in streams {
        let known = before.get(&id);
        let method = if known.is_some() { Method::PUT } else { Method::POST };
        let answer = match client.send(method, &["streams", &id], &options.query(), Some(text)).await {
            Ok(answer) => answer,
            // The others are applied all the same.
            Err(Failure::Refused(reason)) => {
                eprintln!("stream {id}: {reason}");
                worst = Outcome::Refused;
                continue;
            }
            Err(other) => return Err(other),
        };
        if options.dry_run {
            let plan = answer.json()?;
            unchanged += plan["unchanged"].as_u64().unwrap_or_default();
            plans.extend(plan["changes"].as_array().cloned().unwrap_or_default());
            continue;
        }
        // What changed nothing is no revision.
        let same = std::mem::replace(&mut revision, answer.revision) == answer.revision;
        let done = if known.is_none() {
            "created"
        } else if same {
            "unchanged"
        } else {
            "changed"
        };
        printer.done(&answer, &format!("stream {id} is {done}"))?;
    }
    if options.dry_run {
        let told = differences(printer, &json!({ "changes": plans, "unchanged": unchanged }))?;
        return Ok(if worst == Outcome::Done { told } else { worst });
    }
    Ok(worst)
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
    let mut all = streams(paths)?;
    let only = (all.len() == 1).then(|| all.pop_first()).flatten();
    let text = all.remove(id).or(only.map(|(_, text)| text));
    let text = text.ok_or_else(|| Failure::Refused(format!("no file is stream {id}")))?;
    let body = whole(&BTreeMap::from([("spec".to_owned(), text)]))?;
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

/// A file's name for an id: what might lead elsewhere is written as a percent sign and two digits.
fn file_name(id: &str) -> String {
    let mut name = String::new();
    for (index, byte) in id.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && index > 0);
        if plain {
            name.push(byte.into());
        } else {
            let _written = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// Writes all streams and resources into a folder: `streams/ID.yaml` and `resources/TYPE-ID.yaml`.
pub(super) async fn export(client: &Client, folder: &Path) -> Result<Outcome, Failure> {
    let failed =
        |path: &Path, error: &std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let place = |name: &str| {
        let place = folder.join(name);
        fs::create_dir_all(&place).map(|()| place.clone()).map_err(|error| failed(&place, &error))
    };
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(|error| failed(path, &error));
    let (streams, resources) = (place("streams")?, place("resources")?);
    let all = client.get(&["streams"], &[]).await?.json()?;
    let mut count = 0;
    for id in all.as_object().into_iter().flatten().map(|(id, _)| id) {
        let text = stream(client, id).await?;
        write(&streams.join(format!("{}.yaml", file_name(id))), text["text"].as_str().unwrap_or_default())?;
        count += 1;
    }
    let all = self::resources(client).await?;
    for one in all.as_array().into_iter().flatten() {
        let (kind, id) = (one["type"].as_str().unwrap_or_default(), one["id"].as_str().unwrap_or_default());
        let text = client.get(&["resources", kind, id], &[]).await?.json()?;
        let path = resources.join(format!("{kind}-{}.yaml", file_name(id)));
        write(&path, &resource(kind, id, text["text"].as_str().unwrap_or_default())?)?;
        count += 1;
    }
    println!("{count} files are in {}", folder.display());
    Ok(Outcome::Done)
}

/// A resource's config as a file for `-r`.
fn resource(kind: &str, id: &str, text: &str) -> Result<String, Failure> {
    let mut words = Tokens::avoiding(&[text]);
    let node = yaml::parse(&words.hide(text));
    let node = node.map_err(|error| Failure::Refused(format!("resource {kind}/{id}: {error}")))?;
    let label = (Node::string("label"), Node::string(id));
    let members = node.as_map().unwrap_or_default().iter().filter(|(key, _)| key.as_str() != Some("label"));
    let one = Node::map(std::iter::once(label).chain(members.cloned()).collect());
    let section = format!("{kind}_resources");
    Ok(words.show(&to_yaml(&Node::map(vec![(Node::string(section), Node::list(vec![one]))]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_of_files_that_lead_nowhere() {
        let table = [("a", "a"), ("a_b-1.x", "a_b-1.x"), ("..", "%2E."), ("a/b", "a%2Fb"), ("é", "%C3%A9")];
        for (id, name) in table {
            assert_eq!(file_name(id), name);
        }
    }

    #[test]
    fn comments_and_variables_stay_as_they_are_written() {
        let set = [("1", "# why\ninput: { x: ${PORT:1} }\n\n"), ("b", "--- \ninput: { z: ${Z} }")];
        let set = set.map(|(id, text)| (id.to_owned(), text.to_owned())).into();
        let wanted = "\"1\":\n  # why\n  input: { x: ${PORT:1} }\n\nb:\n  input:\n    z: ${Z}\n";
        assert_eq!(whole(&set).unwrap(), wanted);
        let file = resource("cache", "c", "memory: { default_ttl: ${TTL} }").unwrap();
        assert_eq!(file, "cache_resources:\n  - label: c\n    memory:\n      default_ttl: ${TTL}\n");
    }
}
