//! Counters and timers as text: Prometheus and the reference's JSON.

use super::renames::{Labels, Renames};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use weir_core::metrics::{Family, Series};

/// Bytes after which a piece of a long text is sent.
const PIECE: usize = 64 << 10;
/// The quantiles shown of a timer.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// The series of one stream, or of the resources when the id is empty.
pub(crate) struct Group {
    /// The stream's id; `None` outside streams mode, where series have no such label.
    pub(crate) stream: Option<Arc<str>>,
    /// Its series.
    pub(crate) series: Vec<Arc<Series>>,
}

impl Group {
    /// The series of a stream.
    pub(crate) fn new(stream: Option<Arc<str>>, series: Vec<Arc<Series>>) -> Self {
        Self { stream, series }
    }

    /// The labels in alphabetical order: `label="",path="root.input",stream="a"`.
    fn labels(&self, series: &Series, own: &[(&str, &str)]) -> String {
        written(&self.label_set(series, own))
    }

    fn label_set<'a>(&'a self, series: &'a Series, own: &[(&'a str, &'a str)]) -> Labels<'a> {
        let own = own.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let mut labels: Labels<'a> = own.collect();
        labels.insert("label".into(), series.component.label.as_str().into());
        labels.insert("path".into(), series.component.path.as_str().into());
        if let Some(stream) = &self.stream {
            labels.insert("stream".into(), (&**stream).into());
        }
        labels
    }

    /// A metric's name and labels as they are shown; `None` where it is not.
    fn shown<'a>(
        &'a self,
        name: &'a str,
        series: &'a Series,
        own: &[(&'a str, &'a str)],
        renames: Option<&Renames>,
    ) -> Option<(Cow<'a, str>, String)> {
        let labels = self.label_set(series, own);
        let (name, labels) = match renames {
            Some(renames) => renames.apply(name, labels)?,
            None => (name.into(), labels),
        };
        Some((name, written(&labels)))
    }
}

fn written(labels: &Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push('=');
        quote(value, &mut text);
    }
    text
}

/// A text in quotes, as ASCII.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            _ => {
                let code = u32::from(c);
                // Writing to a string cannot fail.
                let _written = match code {
                    0..0x80 => write!(out, "\\x{code:02x}"),
                    0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
}

/// Counters and timers as one flat object, as the reference's `json_api` shows them.
pub(crate) fn json(groups: &[Group], uptime: Option<Duration>, renames: Option<&Renames>) -> Value {
    let mut all = Map::new();
    for group in groups {
        for series in &group.series {
            for (index, (name, own)) in series.family.counters.iter().enumerate() {
                let Some((name, labels)) = group.shown(name, series, own, renames) else { continue };
                let entry = all.entry(format!("{name}{{{labels}}}")).or_insert_with(|| json!(0));
                // Of a resource that was replaced, both versions count.
                *entry = json!(entry.as_u64().unwrap_or(0) + series.count(index));
            }
            let timer = series.family.timer;
            if !timer.is_empty()
                && let Some((timer, labels)) = group.shown(timer, series, &[], renames)
            {
                let quantile = |q: f64| series.timer().map_or(0, |timer| timer.quantile(q));
                let shown: Map<String, Value> =
                    QUANTILES.iter().map(|(name, q)| ((*name).to_owned(), json!(quantile(*q)))).collect();
                all.insert(format!("{timer}{{{labels}}}"), Value::Object(shown));
            }
        }
    }
    if let Some(uptime) = uptime {
        all.insert("uptime_ns".into(), json!(u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)));
    }
    Value::Object(all)
}

/// Where a metric's samples are.
struct Name {
    timer: bool,
    /// Families that have it, and the counter's index there.
    places: Vec<(&'static Family, usize)>,
}

/// Writes the Prometheus text in pieces, for it may be long; ends early when nobody reads.
pub(crate) async fn prometheus(groups: Vec<Group>, extra: String, to: mpsc::Sender<bytes::Bytes>) {
    let mut names: BTreeMap<&'static str, Name> = BTreeMap::new();
    let mut families: Vec<&'static Family> = Vec::new();
    for series in groups.iter().flat_map(|group| &group.series) {
        let family = series.family;
        if families.iter().any(|known| std::ptr::eq(*known, family)) {
            continue;
        }
        families.push(family);
        for (index, (name, _)) in family.counters.iter().enumerate() {
            names
                .entry(name)
                .or_insert_with(|| Name { timer: false, places: Vec::new() })
                .places
                .push((family, index));
        }
        if !family.timer.is_empty() {
            let name = names.entry(family.timer).or_insert_with(|| Name { timer: true, places: Vec::new() });
            name.places.push((family, 0));
        }
    }
    let mut text = extra;
    for (name, found) in names {
        let kind = if found.timer { "summary" } else { "counter" };
        let _written = writeln!(text, "# HELP {name} Weir {kind} metric\n# TYPE {name} {kind}");
        // Resources are counted once a label set, however often they were replaced.
        let mut merged: BTreeMap<String, u64> = BTreeMap::new();
        for group in &groups {
            let shared = group.stream.as_ref().is_some_and(|stream| stream.is_empty());
            for series in &group.series {
                for (_, index) in
                    found.places.iter().filter(|(family, _)| std::ptr::eq(*family, series.family))
                {
                    if found.timer {
                        summary(name, &group.labels(series, &[]), series, &mut text);
                        continue;
                    }
                    let own = series.family.counters.get(*index).map_or(&[][..], |(_, own)| own);
                    let labels = group.labels(series, own);
                    if shared {
                        *merged.entry(labels).or_default() += series.count(*index);
                    } else {
                        let _written = writeln!(text, "{name}{{{labels}}} {}", series.count(*index));
                    }
                }
            }
            if text.len() >= PIECE && to.send(std::mem::take(&mut text).into()).await.is_err() {
                return;
            }
        }
        for (labels, count) in merged {
            let _written = writeln!(text, "{name}{{{labels}}} {count}");
        }
    }
    // A reader that has gone needs nothing more.
    drop(to.send(text.into()).await);
}

/// The Prometheus text where a mapping decides on names: all of it is made before it can be sorted by these.
pub(crate) async fn renamed(
    groups: Vec<Group>,
    renames: &Renames,
    extra: String,
    to: mpsc::Sender<bytes::Bytes>,
) {
    let mut counters: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut summaries: BTreeMap<String, String> = BTreeMap::new();
    for group in &groups {
        for series in &group.series {
            for (index, (name, own)) in series.family.counters.iter().enumerate() {
                if let Some((name, labels)) = group.shown(name, series, own, Some(renames)) {
                    let samples = counters.entry(name.into_owned()).or_default();
                    *samples.entry(labels).or_default() += series.count(index);
                }
            }
            let timer = series.family.timer;
            if !timer.is_empty()
                && let Some((name, labels)) = group.shown(timer, series, &[], Some(renames))
            {
                let text = summaries.entry(name.clone().into_owned()).or_default();
                summary(&name, &labels, series, text);
            }
        }
    }
    let mut text = extra;
    for (name, samples) in counters {
        let _written = writeln!(text, "# HELP {name} Weir counter metric\n# TYPE {name} counter");
        for (labels, count) in samples {
            let _written = writeln!(text, "{name}{{{labels}}} {count}");
        }
        if text.len() >= PIECE && to.send(std::mem::take(&mut text).into()).await.is_err() {
            return;
        }
    }
    for (name, samples) in summaries {
        let _written = writeln!(text, "# HELP {name} Weir summary metric\n# TYPE {name} summary");
        text.push_str(&samples);
    }
    drop(to.send(text.into()).await);
}

fn summary(name: &str, labels: &str, series: &Series, text: &mut String) {
    let Some(timer) = series.timer() else { return };
    for (_, q) in QUANTILES {
        let _written = writeln!(text, "{name}{{{labels},quantile=\"{q}\"}} {}", timer.quantile(q));
    }
    let _written =
        writeln!(text, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", timer.sum(), timer.count());
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::{component::Component, metrics::Metrics};

    static FAMILY: Family = Family {
        counters: &[("input_received", &[]), ("batch_created", &[("mechanism", "count")])],
        timer: "input_latency_ns",
    };

    fn group(stream: &str) -> Group {
        let metrics = Metrics::default();
        let component = Component { name: "x".into(), label: "l\"é".into(), path: "root.input".into() };
        let series = metrics.series(&Arc::new(component), &FAMILY);
        series.add(0, 3);
        Group::new(Some(stream.into()), metrics.all())
    }

    #[test]
    fn json_is_flat_with_sorted_labels_and_all_timers() {
        let shown = json(&[group("a")], Some(Duration::from_nanos(7)), None);
        let labels = r#"label="l\"\u00e9",path="root.input",stream="a""#;
        assert_eq!(shown[format!("input_received{{{labels}}}")], 3);
        assert_eq!(shown[format!("input_latency_ns{{{labels}}}")], json!({"p50": 0, "p90": 0, "p99": 0}));
        assert_eq!(
            shown[r#"batch_created{label="l\"\u00e9",mechanism="count",path="root.input",stream="a"}"#],
            0
        );
        assert_eq!(shown["uptime_ns"], 7);
    }

    #[tokio::test]
    async fn prometheus_keeps_the_samples_of_a_name_together() {
        let (to, mut from) = mpsc::channel(1);
        let groups = vec![group("a"), group("b")];
        groups[0].series[0].time(Duration::from_nanos(10));
        let written = tokio::spawn(prometheus(groups, String::new(), to));
        let text = String::from_utf8(from.recv().await.unwrap().to_vec()).unwrap();
        written.await.unwrap();
        let received: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with("input_received{"))
            .map(|(n, _)| n)
            .collect();
        assert_eq!(received.len(), 2);
        assert_eq!(received[0] + 1, received[1]);
        assert!(text.contains("# TYPE input_received counter\n"), "{text}");
        assert!(text.contains(r#"stream="a",quantile="0.5"} "#), "{text}");
        assert!(
            !text.contains(r#"input_latency_ns_count{label="l\"\u00e9",path="root.input",stream="b"}"#),
            "{text}"
        );
    }
}
