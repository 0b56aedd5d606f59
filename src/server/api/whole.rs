//! `POST /streams` and `POST /plan`: the whole set at once, all or nothing.

use super::{
    Streams, answer,
    query::Query,
    submit::{Refusal, Text, checked},
    write::{PARAMETERS, is_chilled, options},
};
use http::{Method, StatusCode};
use std::collections::HashMap;
use weir_config::{Node, environment, tokens, write::to_yaml};
use weir_control::{
    runtime::BuildFailure,
    service::{Submission, WriteError, WriteOptions},
};
use weir_core::{
    http::{Request, Response},
    node::Value,
    yaml,
};

impl Streams {
    /// `POST /plan`
    pub(super) async fn plan(&self, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        Query::only(request, &[&PARAMETERS[..], &["chilled"]].concat())?;
        let options = WriteOptions { dry_run: true, ..options(request)? };
        let members = self.submitted(request, true).await.map_err(|refusal| refusal.answer_here())?;
        self.changed(self.service.set_all(members, &options).await).await
    }

    async fn submitted(&self, request: &Request, dry_run: bool) -> Result<Vec<Submission>, Refusal> {
        let chilled = is_chilled(request);
        self.off_thread(&request.body, move |streams, body| streams.members(body, chilled, dry_run)).await
    }

    /// Makes a body the whole set.
    pub(super) async fn post_all(&self, request: &Request) -> Result<Response, Response> {
        let options = options(request)?;
        let members = self.submitted(request, options.dry_run).await.map_err(|refusal| refusal.answer())?;
        match self.service.set_all(members, &options).await {
            // Of many members, the one that cannot be built is named.
            Err(WriteError::Build(failures)) => {
                let texts = failures.iter().map(|(key, failure)| format!("{key}: {failure}"));
                Err(answer::error(StatusCode::BAD_REQUEST, &texts.collect::<Vec<_>>().join("\n")))
            }
            other => Ok(self.written(other).await),
        }
    }

    /// Reads every member; what is wrong is collected over all of them, or becomes part of a plan.
    fn members(&self, body: &[u8], chilled: bool, dry_run: bool) -> Result<Vec<Submission>, Refusal> {
        let error = |text: String| Refusal::Error(text);
        let source = std::str::from_utf8(body).map_err(|_| error("yaml: invalid UTF-8".into()))?;
        let expanded =
            environment::expand(source, &*self.lookup).map_err(|fault| error(fault.to_string()))?;
        if let (Some(complaint), false) = (expanded.complaint(), chilled) {
            return Err(error(complaint));
        }
        let parsed = |result: Result<Node, yaml::YamlError>| result.map_err(|fault| error(fault.to_string()));
        let node = parsed(yaml::parse(&expanded.text))?;
        let plain = expanded.text == source;
        let bare = if plain { node.clone() } else { parsed(tokens::parse(source))? };
        check_set(&node)?;
        let (node, bare) = (node.merged(), bare.merged());
        let unexpanded: HashMap<&str, &Node> = bare.entries().collect();
        let own_text = Lines::of(source);
        let mut members = Vec::new();
        let (mut errors, mut lints) = (Vec::new(), Vec::new());
        for (id, member) in node.entries() {
            if id.is_empty() || id.contains('/') {
                errors.push(format!(
                    "stream '{id}': no path can reach this id: choose one that is not empty, without /"
                ));
                continue;
            }
            let Some(unexpanded) = unexpanded.get(id).copied() else {
                errors.push(format!("stream '{id}': its name comes from a variable: write it out"));
                continue;
            };
            let text = || Text {
                source: own_text.member(unexpanded),
                node: member.clone(),
                bare: unexpanded.clone(),
            };
            match checked(dry_run, chilled, |chilled| self.member_submission(id, text(), chilled)) {
                Ok(submission) => members.push(submission),
                Err(Refusal::Error(why)) if dry_run => {
                    let build = Box::new(move || Err(BuildFailure::new(why)));
                    members.push(Submission { build: Some(build), ..self.ready(id, text(), chilled) });
                }
                Err(Refusal::Error(text)) => errors.push(text),
                Err(Refusal::Lints(more)) => lints.extend(more),
            }
        }
        match (lints.is_empty(), errors.is_empty()) {
            (false, _) => Err(Refusal::Lints(lints)),
            (true, false) => Err(error(errors.join("\n"))),
            (true, true) => Ok(members),
        }
    }
}

/// Refuses anything but an object of streams. Only `{}` empties the set: nothing at all is more likely a mistake.
fn check_set(node: &Node) -> Result<(), Refusal> {
    let error = |text: String| Err(Refusal::Error(text));
    let wanted = "into map[string]yaml.Node";
    match node.value() {
        Value::Map(entries) => {
            let mut seen = std::collections::HashSet::new();
            match entries.iter().find(|(key, _)| !seen.insert(key.key_text())) {
                Some((key, _)) => {
                    error(format!("line {}: stream '{}' is already defined", key.line(), key.key_text()))
                }
                None => Ok(()),
            }
        }
        Value::List(_) => {
            error(format!("yaml: unmarshal errors:\n  line {}: cannot unmarshal !!seq {wanted}", node.line()))
        }
        Value::Scalar(_) if node.is_null() => {
            error("the body is empty: send an object of streams, or {} to remove them all".into())
        }
        Value::Scalar(scalar) => error(format!(
            "yaml: unmarshal errors:\n  line {}: cannot unmarshal {} `{}` {wanted}",
            node.line(),
            scalar.tag,
            scalar.text
        )),
    }
}

/// A whole set's lines, found once.
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn of(whole: &'a str) -> Self {
        // What is written as JSON has no lines of its own for a member.
        if whole.trim_start().starts_with('{') { Self(Vec::new()) } else { Self(whole.lines().collect()) }
    }

    /// A member's own text: its lines in the whole, where they say the same alone; else its tree, written anew.
    fn member(&self, member: &Node) -> String {
        self.slice(member)
            .filter(|text| tokens::parse(text).is_ok_and(|alone| alone == *member))
            .unwrap_or_else(|| to_yaml(member))
    }

    /// The lines of a block from a node's first on, as far as they are indented like it.
    fn slice(&self, member: &Node) -> Option<String> {
        let indent = usize::try_from(member.column()).ok()?.checked_sub(1).filter(|indent| *indent > 0)?;
        let first = usize::try_from(member.line()).ok()?.checked_sub(1)?;
        let mut text = String::new();
        for line in self.0.get(first..)? {
            let content = line.trim_start_matches(' ');
            let own = line.len() - content.len();
            if content.is_empty() {
                text.push('\n');
                continue;
            }
            if own < indent && !content.starts_with('#') {
                break;
            }
            text.push_str(line.get(indent.min(own)..)?);
            text.push('\n');
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(whole: &str) -> Vec<String> {
        let node = tokens::parse(whole).unwrap();
        let lines = Lines::of(whole);
        node.entries().map(|(_, member)| lines.member(member)).collect()
    }

    #[test]
    fn members_keep_their_own_lines() {
        let whole = "# set\na:\n  input: # why\n    stdin: {}\n\n  output: { drop: {} }\nb:\n    input: { stdin: ${X} }\n";
        assert_eq!(
            texts(whole),
            ["input: # why\n  stdin: {}\n\noutput: { drop: {} }\n", "input: { stdin: ${X} }\n"]
        );
    }

    #[test]
    fn what_cannot_stand_alone_is_written_anew() {
        assert_eq!(texts(r#"{"a":{"input":{"stdin":{}}}}"#), ["\"input\":\n  \"stdin\": {}\n"]);
        let crossing = texts("a:\n  x: &x { y: 1 }\nb:\n  x: *x\n");
        assert_eq!(crossing[1], "x:\n  y: 1\n");
    }

    #[test]
    fn only_an_object_is_a_set() {
        assert!(check_set(&tokens::parse("{}").unwrap()).is_ok());
        for text in ["", "null", "# nothing", "[]", "5", "a: {}\na: {}"] {
            assert!(check_set(&tokens::parse(text).unwrap()).is_err(), "{text}");
        }
    }
}
