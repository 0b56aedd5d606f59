//! Counters and timers as text: Prometheus and the reference's JSON.

use super::{
    form::{Form, Timing},
    renames::{Labels, Renames},
};
use serde_json::{Map, Value as Json, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::mpsc;
use weir_core::{
    component::Component,
    metrics::{Cell, Custom, Family, Histogram, Measure, Metrics, Series},
};

/// Bytes after which a piece of a long text is sent.
const PIECE: usize = 64 << 10;
/// What JSON calls the quantiles of a timer that are shown unless others are chosen.
const QUANTILES: [&str; 3] = ["p50", "p90", "p99"];

/// What is counted of one stream, or of the resources when the id is empty.
pub(crate) struct Group {
    /// The stream's id; `None` outside streams mode, where series have no such label.
    stream: Option<Arc<str>>,
    series: Vec<Arc<Series>>,
    custom: Vec<Arc<Custom>>,
}

impl Group {
    /// What was counted of a stream.
    pub(crate) fn new(stream: Option<Arc<str>>, metrics: &[Arc<Metrics>]) -> Self {
        let mut series: Vec<_> = metrics.iter().flat_map(|metrics| metrics.all()).collect();
        if stream.as_ref().is_none_or(|stream| stream.is_empty()) {
            series = joined(&series);
        }
        let custom = metrics.iter().flat_map(|metrics| metrics.all_custom()).collect();
        Self { stream, series, custom }
    }

    fn labels<'a>(
        &'a self,
        component: &'a Component,
        own: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Labels<'a> {
        let mut labels: Labels<'a> =
            own.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        labels.insert("label".into(), component.label.as_str().into());
        labels.insert("path".into(), component.path.as_str().into());
        if let Some(stream) = &self.stream {
            labels.insert("stream".into(), (&**stream).into());
        }
        labels
    }
}

/// One series where nothing tells several apart: resources of the API have no label.
fn joined(series: &[Arc<Series>]) -> Vec<Arc<Series>> {
    let mut alike: BTreeMap<_, Vec<Arc<Series>>> = BTreeMap::new();
    for one in series {
        let Component { label, path, .. } = &*one.component;
        alike.entry((path, label, std::ptr::from_ref(one.family))).or_default().push(Arc::clone(one));
    }
    alike.values().filter_map(|parts| Series::joined(parts)).collect()
}

/// Labels as they are written: `label="",path="root.input",stream="a"`.
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

/// The samples of one metric with one set of labels.
enum Sample {
    Counter(f64),
    Gauge(f64),
    /// The steps are what [`Timing`] asks for.
    Timer {
        steps: Vec<u64>,
        sum: u64,
        count: u64,
    },
}

impl Sample {
    fn of(value: &Value<'_>, timing: &Timing) -> Self {
        match *value {
            Value::Counter(value) => Self::Counter(value),
            Value::Gauge(value) => Self::Gauge(value),
            Value::Timer(timer) => Self::timer(timer, timing),
        }
    }

    fn timer(timer: Option<&Histogram>, timing: &Timing) -> Self {
        let Some(timer) = timer else {
            return Self::Timer { steps: vec![0; QUANTILES.len()], sum: 0, count: 0 };
        };
        Self::Timer { steps: timing.steps(timer), sum: timer.sum(), count: timer.count() }
    }

    fn kind(&self, timing: &Timing) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Timer { .. } => timing.kind(),
        }
    }
}

/// Samples by name and written labels, the names given anew where a mapping says so.
struct Collected<'a> {
    renames: Option<&'a Renames>,
    timing: &'a Timing,
    all: BTreeMap<String, BTreeMap<String, Sample>>,
}

impl<'a> Collected<'a> {
    fn new(renames: Option<&'a Renames>, timing: &'a Timing) -> Self {
        Self { renames, timing, all: BTreeMap::new() }
    }

    fn add(&mut self, name: &str, labels: Labels<'_>, sample: Sample) {
        let Some((name, labels)) = Renames::apply(self.renames, name, labels) else { return };
        let timing = self.timing;
        let samples = self.all.entry(name.into_owned()).or_default();
        match (samples.get_mut(&written(&labels)), &sample) {
            // A mapping may have left nothing that tells them apart.
            (Some(Sample::Counter(known)), Sample::Counter(more)) => *known += more,
            (
                Some(Sample::Timer { steps, sum, count }),
                Sample::Timer { steps: more_steps, sum: more_sum, count: more_count },
            ) => {
                timing.join(steps, more_steps);
                *sum += more_sum;
                *count += more_count;
            }
            _ => drop(samples.insert(written(&labels), sample)),
        }
    }

    fn add_series(&mut self, group: &Group) {
        let timing = self.timing;
        group.each_series(true, &mut |name, labels, value| {
            self.add(name, labels, Sample::of(&value, timing));
        });
    }

    fn add_custom(&mut self, group: &Group) {
        let timing = self.timing;
        group.each_custom(&mut |name, labels, value| self.add(name, labels, Sample::of(&value, timing)));
    }
}

/// What one metric with one set of labels stands at.
pub(crate) enum Value<'a> {
    Counter(f64),
    Gauge(f64),
    /// None: without samples.
    Timer(Option<&'a Histogram>),
}

/// Is shown names, labels and values.
type Show<'s> = dyn FnMut(&str, Labels<'_>, Value<'_>) + 's;

impl Group {
    /// What components count of themselves; `zeros`: also what has not counted anything yet.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(crate) fn each_series(&self, zeros: bool, show: &mut Show<'_>) {
        for series in &self.series {
            for (index, (name, own)) in series.family.counters.iter().enumerate() {
                let count = series.count(index);
                if zeros || count > 0 {
                    let labels = self.labels(&series.component, own.iter().copied());
                    show(name, labels, Value::Counter(count as f64));
                }
            }
            if !series.family.timer.is_empty() && (zeros || series.timer().is_some()) {
                show(series.family.timer, self.labels(&series.component, []), Value::Timer(series.timer()));
            }
        }
    }

    /// The metrics that configs define.
    pub(crate) fn each_custom(&self, show: &mut Show<'_>) {
        for custom in &self.custom {
            custom.each(|values, cell| {
                let own = custom.labels.iter().zip(values).map(|(name, value)| (&**name, &**value));
                let value = match cell {
                    Cell::Timer(timer) => Value::Timer(Some(timer)),
                    Cell::Number(bits) => {
                        let value = f64::from_bits(bits.load(Ordering::Relaxed));
                        let gauge = custom.measure == Measure::Gauge;
                        if gauge { Value::Gauge(value) } else { Value::Counter(value) }
                    }
                };
                show(&custom.name, self.labels(&custom.component, own), value);
            });
        }
    }
}

/// What is counted as one flat object, as the reference's `json_api` shows it.
#[expect(clippy::cast_possible_truncation, reason = "the reference shows whole numbers")]
pub(crate) fn json(groups: &[Group], uptime: Option<Duration>, renames: Option<&Renames>) -> Json {
    let timing = Timing::default();
    let mut collected = Collected::new(renames, &timing);
    for group in groups {
        collected.add_series(group);
        collected.add_custom(group);
    }
    let mut all = Map::new();
    for (name, samples) in collected.all {
        for (labels, sample) in samples {
            let shown = match sample {
                Sample::Counter(value) | Sample::Gauge(value) => json!(value as i64),
                Sample::Timer { steps, .. } => {
                    QUANTILES.iter().zip(steps).map(|(name, value)| (*name, json!(value))).collect()
                }
            };
            all.insert(format!("{name}{{{labels}}}"), shown);
        }
    }
    if let Some(uptime) = uptime {
        all.insert("uptime_ns".into(), json!(u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)));
    }
    Json::Object(all)
}

/// Writes the Prometheus text in pieces, for it may be long; ends early when nobody reads.
pub(crate) async fn prometheus(
    groups: Vec<Group>,
    renames: Option<Arc<Renames>>,
    form: Arc<Form>,
    extra: String,
    to: mpsc::Sender<bytes::Bytes>,
) {
    let (mut text, timing) = (extra + &form.process(), &form.timing);
    let mut collected = Collected::new(renames.as_deref(), timing);
    if renames.is_some() {
        groups.iter().for_each(|group| collected.add_series(group));
    } else {
        // Without a mapping the families' names are known: what many streams count need not be held twice.
        for (name, Name { timer, places }) in names(&groups) {
            heading(name, if timer { timing.kind() } else { "counter" }, &mut text);
            for group in &groups {
                for series in &group.series {
                    for (_, index) in places.iter().filter(|(family, _)| std::ptr::eq(*family, series.family))
                    {
                        if timer {
                            let labels = written(&group.labels(&series.component, []));
                            line(name, &labels, &Sample::timer(series.timer(), timing), timing, &mut text);
                        } else {
                            let own = series.family.counters.get(*index).map_or(&[][..], |(_, own)| own);
                            let labels = written(&group.labels(&series.component, own.iter().copied()));
                            let _written = writeln!(text, "{name}{{{labels}}} {}", series.count(*index));
                        }
                    }
                }
                if text.len() >= PIECE && to.send(std::mem::take(&mut text).into()).await.is_err() {
                    return;
                }
            }
        }
    }
    groups.iter().for_each(|group| collected.add_custom(group));
    for (name, samples) in &collected.all {
        let Some(first) = samples.values().next().filter(|_| is_name(name)) else { continue };
        heading(name, first.kind(timing), &mut text);
        samples.iter().for_each(|(labels, sample)| line(name, labels, sample, timing, &mut text));
        if text.len() >= PIECE && to.send(std::mem::take(&mut text).into()).await.is_err() {
            return;
        }
    }
    // A reader that has gone needs nothing more.
    drop(to.send(text.into()).await);
}

/// Where a metric of components is counted.
#[derive(Default)]
struct Name {
    timer: bool,
    /// Families that have it, and the counter's index there.
    places: Vec<(&'static Family, usize)>,
}

fn names(groups: &[Group]) -> BTreeMap<&'static str, Name> {
    let mut names: BTreeMap<&'static str, Name> = BTreeMap::new();
    let mut families: Vec<&'static Family> = Vec::new();
    for series in groups.iter().flat_map(|group| &group.series) {
        let family = series.family;
        if families.iter().any(|known| std::ptr::eq(*known, family)) {
            continue;
        }
        families.push(family);
        for (index, (name, _)) in family.counters.iter().enumerate() {
            names.entry(name).or_default().places.push((family, index));
        }
        if !family.timer.is_empty() {
            names.insert(family.timer, Name { timer: true, places: vec![(family, 0)] });
        }
    }
    names
}

/// Whether Prometheus allows a name; one bad name would cost it the whole page.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn heading(name: &str, kind: &str, text: &mut String) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "# HELP {name} Weir {kind} metric\n# TYPE {name} {kind}");
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds")]
fn line(name: &str, labels: &str, sample: &Sample, timing: &Timing, text: &mut String) {
    let _written = match sample {
        Sample::Counter(value) | Sample::Gauge(value) => writeln!(text, "{name}{{{labels}}} {value}"),
        // What has no samples yet says nothing.
        Sample::Timer { count: 0, .. } => Ok(()),
        Sample::Timer { steps, sum, count } => {
            let sum = match timing {
                Timing::Quantiles(quantiles) => {
                    for (q, value) in quantiles.iter().zip(steps) {
                        let _written = writeln!(text, "{name}{{{labels},quantile=\"{q}\"}} {value}");
                    }
                    *sum as f64
                }
                Timing::Bounds(bounds) => {
                    for (bound, value) in bounds.iter().zip(steps) {
                        let _written = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {value}");
                    }
                    let _written = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
                    *sum as f64 / 1e9
                }
            };
            writeln!(text, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}")
        }
    };
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
        let custom = metrics.custom(&series.component, "my_count".into(), Measure::Counter, vec!["k".into()]);
        custom.record(vec!["v".into()], 2.0);
        Group::new(Some(stream.into()), &[Arc::new(metrics)])
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
        assert_eq!(shown[r#"my_count{k="v",label="l\"\u00e9",path="root.input",stream="a"}"#], 2);
        assert_eq!(shown["uptime_ns"], 7);
    }

    #[tokio::test]
    async fn a_mapping_names_anew_and_drops() {
        let renames = Renames::new(
            "root = if this.has_prefix(\"my_\") { this.uppercase() } else { deleted() }\nmeta path = deleted()\nmeta stream = deleted()",
        )
        .unwrap()
        .unwrap();
        let groups = [group("a"), group("b")];
        let shown = json(&groups, None, Some(&renames));
        assert_eq!(shown, json!({r#"MY_COUNT{k="v",label="l\"\u00e9"}"#: 4}));
        let (to, mut from) = mpsc::channel(1);
        tokio::spawn(prometheus(groups.into(), Some(Arc::new(renames)), Arc::default(), String::new(), to));
        let text = String::from_utf8(from.recv().await.unwrap().to_vec()).unwrap();
        assert!(
            text.ends_with("# TYPE MY_COUNT counter\nMY_COUNT{k=\"v\",label=\"l\\\"\\u00e9\"} 4\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn resources_that_nothing_tells_apart_are_one_series() {
        let metrics = [Arc::new(Metrics::default()), Arc::new(Metrics::default())];
        for (count, metrics) in (1..).zip(&metrics) {
            let component = Component { path: "root.processor_resources".into(), ..Component::default() };
            let series = metrics.series(&Arc::new(component), &FAMILY);
            series.add(0, count);
            series.time(Duration::from_secs(count));
        }
        let (to, mut from) = mpsc::channel(1);
        let groups = vec![Group::new(Some("".into()), &metrics)];
        tokio::spawn(prometheus(groups, None, Arc::default(), String::new(), to));
        let text = String::from_utf8(from.recv().await.unwrap().to_vec()).unwrap();
        let labels = r#"{label="",path="root.processor_resources",stream=""}"#;
        assert_eq!(text.matches("input_received{").count(), 1, "{text}");
        assert!(text.contains(&format!("input_received{labels} 3\n")), "{text}");
        assert!(text.contains(&format!("input_latency_ns_sum{labels} 3000000000\n")), "{text}");
    }

    #[tokio::test]
    async fn prometheus_keeps_the_samples_of_a_name_together() {
        let (to, mut from) = mpsc::channel(1);
        let groups = vec![group("a"), group("b")];
        groups[0].series[0].time(Duration::from_nanos(10));
        let written = tokio::spawn(prometheus(groups, None, Arc::default(), String::new(), to));
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

    #[tokio::test]
    async fn timers_may_be_histograms_of_seconds() {
        let (to, mut from) = mpsc::channel(1);
        let groups = vec![group("a")];
        groups[0].series[0].time(Duration::from_millis(500));
        let config = "prometheus: { use_histogram_timing: true, histogram_buckets: [ 0.1, 1 ] }";
        let registry = weir_core::registry::Registry::new(&[weir_pure::TABLE]);
        let form = Form::new(&weir_core::yaml::parse(config).unwrap(), &registry).unwrap();
        tokio::spawn(prometheus(groups, None, Arc::new(form), String::new(), to));
        let text = String::from_utf8(from.recv().await.unwrap().to_vec()).unwrap();
        let labels = r#"label="l\"\u00e9",path="root.input",stream="a""#;
        for line in [
            "# TYPE input_latency_ns histogram".to_owned(),
            format!("input_latency_ns_bucket{{{labels},le=\"0.1\"}} 0"),
            format!("input_latency_ns_bucket{{{labels},le=\"1\"}} 1"),
            format!("input_latency_ns_bucket{{{labels},le=\"+Inf\"}} 1"),
            format!("input_latency_ns_sum{{{labels}}} 0.5"),
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
        }
    }
}
