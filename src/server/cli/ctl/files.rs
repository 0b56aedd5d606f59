//! Files that stand for streams and resources: what is in them, and what they are called.

use super::client::Failure;
use crate::files::{Sources, read};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::{borrow::Cow, collections::BTreeMap, path::Path};
use weir_config::{Node, normalise::SCRUBBED, tokens, write::to_yaml};
use weir_control::record::{Key, Kind};

/// What an export leaves in its folder: the files that it wrote, a line each.
pub(super) const LIST: &str = "exported.list";
/// The folders of an export.
const FOLDERS: [&str; 2] = ["streams", "resources"];
/// What is not written into the name of a file as it is.
const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// How deep a resource lies in its section.
const MARGIN: &str = "    ";

/// Texts by what they are of, in the order in which they start.
pub(super) type Members = BTreeMap<Key, String>;

/// The places of an argument: those of an exported folder count by themselves.
fn places(path: &str) -> Vec<String> {
    let root = Path::new(path);
    if !root.join(LIST).is_file() {
        return vec![path.to_owned()];
    }
    let filled = |folder: &Path| folder.read_dir().is_ok_and(|mut all| all.next().is_some());
    let folders = FOLDERS.map(|name| root.join(name)).into_iter().filter(|folder| filled(folder));
    folders.map(|folder| folder.display().to_string()).collect()
}

/// What files hold.
pub(super) fn members(paths: &[String]) -> Result<Members, Failure> {
    let refused = |path: &Path, text: String| Failure::Refused(format!("{}: {text}", path.display()));
    let paths: Vec<String> = paths.iter().flat_map(|path| places(path)).collect();
    let found = Sources::new(&paths).map_err(Failure::Refused)?.find();
    if let Some((path, complaint)) = found.complaints.first_key_value() {
        return Err(refused(path, complaint.clone()));
    }
    if let Some(folder) = found.missing().next() {
        return Err(Failure::Refused(format!("{} has no stream files", folder.display())));
    }
    let (mut members, mut from) = (Members::new(), BTreeMap::new());
    for file in found.files {
        let text = read(&file.path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()))
            .and_then(|text| split(&file.id, text));
        for (key, text) in text.map_err(|text| refused(&file.path, text))? {
            if text.contains(SCRUBBED) {
                let why = format!("{SCRUBBED} stands for a secret: put that in its place, or a variable");
                return Err(refused(&file.path, why));
            }
            if let Some(first) = from.insert(key.clone(), file.path.clone()) {
                return Err(refused(&file.path, format!("it is {key}, and so is {}", first.display())));
            }
            members.insert(key, text);
        }
    }
    Ok(members)
}

/// The members of a file: the resources of one that has nothing else, or a stream.
fn split(name: &str, text: String) -> Result<Vec<(Key, String)>, String> {
    let node = tokens::parse(&text).unwrap_or_else(|_| Node::null());
    let kind =
        |section: &str| Kind::parse(section.strip_suffix("_resources")?).filter(|kind| *kind != Kind::Stream);
    let sections: Option<Vec<_>> = node.entries().map(|(name, all)| Some((kind(name)?, all))).collect();
    let Some(sections) = sections.filter(|all| !all.is_empty()) else {
        return Ok(vec![(Key::stream(decoded(name)), text)]);
    };
    let own = text.lines().skip(2).map(|line| line.strip_prefix(MARGIN).unwrap_or(line));
    let own = own.collect::<Vec<_>>().join("\n");
    let alone = tokens::parse(&own).ok();
    let mut members = Vec::new();
    for (kind, item) in sections
        .iter()
        .flat_map(|(kind, all)| all.as_list().unwrap_or_default().iter().map(move |item| (*kind, item)))
    {
        let label = item.get("label").and_then(Node::as_str).ok_or("a resource has no label")?;
        let bare = item.without("label");
        // Of a single resource the lines stay, with what is remarked in them.
        let as_written = alone.as_ref().is_some_and(|alone| *alone == bare || alone == item);
        let text = if as_written { own.clone() } else { to_yaml(&bare) };
        members.push((Key::new(kind, label), text));
    }
    Ok(members)
}

/// A text's own lines below `head`, where they say there what the node says; else the node written anew.
fn below(head: &str, margin: &str, text: &str, node: &Node) -> String {
    let lines =
        text.lines().map(|line| if line.is_empty() { line.into() } else { format!("{margin}{line}") });
    let below = format!("{head}\n{}\n", lines.collect::<Vec<_>>().join("\n"));
    if tokens::parse(&below).is_ok_and(|same| same == *node) { below } else { to_yaml(node) }
}

fn parse(key: &Key, text: &str) -> Result<Node, Failure> {
    tokens::parse(text).map_err(|error| Failure::Refused(format!("{key}: {error}")))
}

/// Streams in one text.
pub(super) fn whole(members: &Members) -> Result<String, Failure> {
    let streams = members.iter().filter(|(key, _)| key.kind == Kind::Stream);
    let one = |(key, text): (&Key, &String)| {
        let name = Node::string(&*key.id);
        let head = format!("{}:", to_yaml(&name).trim_end());
        Ok(below(&head, "  ", text, &Node::map(vec![(name, parse(key, text)?)])))
    };
    streams.map(one).collect()
}

/// What an export writes of a member: where, and what. A resource is written so that `-r` takes it too.
pub(super) fn exported(key: &Key, text: String) -> Result<(String, String), Failure> {
    let (kind, name) = (key.kind.name(), file_name(&key.id));
    if key.kind == Kind::Stream {
        return Ok((format!("streams/{name}.yaml"), text));
    }
    let (node, id, section) = (parse(key, &text)?, Node::string(&*key.id), format!("{kind}_resources"));
    let name_it =
        if node.get("label") == Some(&id) { String::new() } else { format!(" label: {}", to_yaml(&id)) };
    let head = format!("{section}:\n  -{}", name_it.trim_end());
    let bare = node.without("label");
    let label = std::iter::once((Node::string("label"), id));
    let members = label.chain(bare.as_map().unwrap_or_default().iter().cloned()).collect();
    let whole = Node::single(&section, Node::list(vec![Node::map(members)]));
    Ok((format!("resources/{kind}-{name}.yaml"), below(&head, MARGIN, &text, &whole)))
}

/// Whether an export may have written a file of this name: a list may come from anywhere.
pub(super) fn is_exported(name: &str) -> bool {
    let parts = name.strip_suffix(".yaml").and_then(|name| name.split_once('/'));
    parts.is_some_and(|(folder, file)| FOLDERS.contains(&folder) && !file.contains('/'))
}

/// A file's name for an id: what might lead elsewhere is written as a percent sign and two digits.
fn file_name(id: &str) -> String {
    let name = utf8_percent_encode(id, SPECIAL).to_string();
    let name = name.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(name);
    // A file of unit tests would not be read as a stream.
    name.strip_suffix("_benthos_test").map(|stem| format!("{stem}%5Fbenthos_test")).unwrap_or(name)
}

/// The id of such a name; what is no percent sign and two digits stands for itself.
fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8().map_or_else(|_| name.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_of_files_that_lead_nowhere_and_come_back() {
        let table = [
            ("a", "a"),
            ("a_b-1.x", "a_b-1.x"),
            ("..", "%2E."),
            ("a b.c", "a%20b.c"),
            ("é", "%C3%A9"),
            ("100%", "100%25"),
            ("x_benthos_test", "x%5Fbenthos_test"),
        ];
        for (id, name) in table {
            assert_eq!((file_name(id).as_str(), decoded(name).as_str()), (name, id));
        }
        for (name, id) in [("100%", "100%"), ("%zz%2", "%zz%2"), ("%ff", "%ff")] {
            assert_eq!(decoded(name), id);
        }
        assert!(is_exported("streams/a.yaml"));
        for name in ["a.yaml", "streams/../a.yaml", "/etc/a.yaml", "streams/a", "other/a.yaml"] {
            assert!(!is_exported(name), "{name}");
        }
    }

    #[test]
    fn comments_and_variables_stay_as_they_are_written() {
        let set = [("1", "# why\ninput: { x: ${PORT:1} }\n\n"), ("b", "--- \ninput: { z: ${Z} }")];
        let set = set.map(|(id, text)| (Key::stream(id), text.to_owned())).into();
        let wanted = "\"1\":\n  # why\n  input: { x: ${PORT:1} }\n\nb:\n  input:\n    z: ${Z}\n";
        assert_eq!(whole(&set).unwrap(), wanted);
    }

    #[test]
    fn resources_come_back_as_they_were_written_out() {
        let key = Key::new(Kind::Cache, "c d");
        for (text, head) in [
            ("# why\nmemory: { default_ttl: ${TTL} }\n\n# more", "  - label: c d\n    # why\n"),
            ("label: c d\nmemory: {}", "  -\n    label: c d\n"),
            ("file:\n  directory: |\n    a\n\n    b\n", "  - label: c d\n    file:\n"),
        ] {
            let (name, file) = exported(&key, text.to_owned()).unwrap();
            assert_eq!(name, "resources/cache-c%20d.yaml");
            assert!(file.starts_with(&format!("cache_resources:\n{head}")), "{file}");
            let back = split("", file).unwrap();
            assert_eq!((&back[0].0, back[0].1.trim_end()), (&key, text.trim_end()));
        }
        let (_, file) = exported(&key, "--- \nmemory: { x: ${Z} }".to_owned()).unwrap();
        assert_eq!(file, "cache_resources:\n  - label: c d\n    memory:\n      x: ${Z}\n");
        let two = "rate_limit_resources: [ { label: r, local: {} } ]\ncache_resources: [ { label: a, memory: {} } ]";
        let names: Vec<String> =
            split("", two.to_owned()).unwrap().iter().map(|(key, _)| key.name()).collect();
        assert_eq!(names, ["rate_limit:r", "cache:a"]);
        assert!(split("", "cache_resources: [ { memory: {} } ]".to_owned()).is_err());
    }
}
