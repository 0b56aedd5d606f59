//! The routes that components open: who owns a path, who will, and who did.

use super::path::{Path, Pattern};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use weir_core::http::{Handler, Response};

/// How long a path whose last owner is gone still says so.
const VACATED: Duration = Duration::from_mins(10);
/// Vacated paths remembered; the oldest are forgotten first.
const VACATED_KEPT: usize = 10_000;

/// One who serves a path.
struct Owner {
    serving: u64,
    handler: Arc<dyn Handler>,
    description: String,
}

/// All about one path.
#[derive(Default)]
struct Slot {
    /// In the order in which they came; the last serves.
    owners: Vec<Owner>,
    /// What is built or starting and will serve it: until when a request should wait for it.
    expected: Vec<(u64, Option<Instant>)>,
    vacated: Option<(Instant, String, &'static str)>,
}

/// What a path has to answer a request with.
pub(super) enum Found {
    /// Someone serves it; the variables of its pattern.
    Served(Arc<dyn Handler>, Vec<(String, String)>),
    /// Someone will soon; what to say if not.
    Expected(&'static str),
    /// Someone did; what to say.
    Vacated(&'static str),
}

/// The routes of one listener.
#[derive(Default)]
pub(super) struct Table {
    exact: HashMap<String, Slot>,
    /// Patterns by their first segment, then by text; those that begin with a variable are under "".
    patterns: HashMap<String, BTreeMap<String, (Pattern, Slot)>>,
    vacated: usize,
}

impl Slot {
    fn found(&self, variables: Vec<(String, String)>, now: Instant) -> Option<Found> {
        if let Some(owner) = self.owners.last() {
            return Some(Found::Served(Arc::clone(&owner.handler), variables));
        }
        if self.expected.iter().any(|(_, until)| until.is_none_or(|until| until > now)) {
            let text = self.vacated.as_ref().map_or("Service unavailable", |(_, _, text)| text);
            return Some(Found::Expected(text));
        }
        let (since, _, text) = self.vacated.as_ref()?;
        (now.duration_since(*since) < VACATED).then_some(Found::Vacated(text))
    }

    fn is_unused(&self, now: Instant) -> bool {
        let fresh = self.vacated.as_ref().is_some_and(|(since, _, _)| now.duration_since(*since) < VACATED);
        self.owners.is_empty() && self.expected.is_empty() && !fresh
    }

    fn description(&self, now: Instant) -> Option<&str> {
        if let Some(owner) = self.owners.last() {
            return Some(&owner.description);
        }
        let (since, description, _) = self.vacated.as_ref()?;
        (now.duration_since(*since) < VACATED).then_some(description)
    }
}

impl Table {
    fn slot(&mut self, pattern: &Pattern) -> &mut Slot {
        if let Some(exact) = pattern.exact() {
            return self.exact.entry(exact).or_default();
        }
        let first = pattern.first().unwrap_or_default().to_owned();
        let slots = self.patterns.entry(first).or_default();
        &mut slots.entry(pattern.text().to_owned()).or_insert_with(|| (pattern.clone(), Slot::default())).1
    }

    /// A new owner serves a path; whoever was expected there has come.
    pub(super) fn open(
        &mut self,
        path: &Pattern,
        serving: u64,
        handler: Arc<dyn Handler>,
        description: String,
    ) {
        let slot = self.slot(path);
        slot.owners.push(Owner { serving, handler, description });
        // Who was starting has come; what is only built may still follow.
        slot.expected.retain(|(_, until)| until.is_none());
        let was = slot.vacated.take().is_some();
        self.vacated -= usize::from(was && self.vacated > 0);
    }

    /// An owner is gone.
    pub(super) fn close(&mut self, path: &Pattern, serving: u64) {
        let slot = self.slot(path);
        let Some(at) = slot.owners.iter().position(|owner| owner.serving == serving) else { return };
        let owner = slot.owners.remove(at);
        if slot.owners.is_empty() {
            let text = owner.handler.closed();
            let known = slot.vacated.replace((Instant::now(), owner.description, text)).is_some();
            self.vacated += usize::from(!known);
            if self.vacated > VACATED_KEPT {
                self.forget();
            }
        }
    }

    /// Says that a path will be served: `until` is how long requests wait, `None` as long as it is announced.
    pub(super) fn expect(&mut self, path: &Pattern, claim: u64, until: Option<Instant>) {
        let slot = self.slot(path);
        slot.expected.retain(|(known, _)| *known != claim);
        slot.expected.push((claim, until));
    }

    /// Takes back what was expected.
    pub(super) fn unexpect(&mut self, path: &Pattern, claim: u64) {
        let slot = self.slot(path);
        slot.expected.retain(|(known, _)| *known != claim);
        if slot.is_unused(Instant::now()) {
            self.remove(path);
        }
    }

    fn remove(&mut self, pattern: &Pattern) {
        if let Some(exact) = pattern.exact() {
            self.exact.remove(&exact);
        } else if let Some(slots) = self.patterns.get_mut(pattern.first().unwrap_or_default()) {
            slots.remove(pattern.text());
        }
    }

    /// Forgets the older half of what is vacated, and what is too old.
    fn forget(&mut self) {
        let now = Instant::now();
        let patterns = self.patterns.values().flat_map(BTreeMap::values).map(|(_, slot)| slot);
        let mut times: Vec<Instant> = self
            .exact
            .values()
            .chain(patterns)
            .filter_map(|slot| slot.vacated.as_ref().map(|v| v.0))
            .collect();
        times.sort_unstable();
        let oldest_kept = times.get(times.len() / 2).copied().unwrap_or(now);
        let keep = |slot: &mut Slot| {
            if slot.vacated.as_ref().is_some_and(|(since, _, _)| *since < oldest_kept) {
                slot.vacated = None;
            }
            !slot.is_unused(now)
        };
        self.exact.retain(|_, slot| keep(slot));
        for slots in self.patterns.values_mut() {
            slots.retain(|_, (_, slot)| keep(slot));
        }
        self.patterns.retain(|_, slots| !slots.is_empty());
        self.vacated = times.len() - times.len() / 2;
    }

    /// Who answers a path: an exact route before patterns, of those the longest.
    pub(super) fn find(&self, path: &Path) -> Option<Found> {
        let now = Instant::now();
        if let Some(found) = self.exact.get(&path.key()).and_then(|slot| slot.found(Vec::new(), now)) {
            return Some(found);
        }
        let first = path.segments().first().map_or("", String::as_str);
        let mut best: Option<(usize, Found)> = None;
        let candidates = [first, ""].into_iter().take(if first.is_empty() { 1 } else { 2 });
        for (pattern, slot) in candidates.filter_map(|key| self.patterns.get(key)).flat_map(BTreeMap::values)
        {
            if best.as_ref().is_some_and(|(length, _)| *length >= pattern.length()) {
                continue;
            }
            let found = pattern.variables(path).and_then(|variables| slot.found(variables, now));
            best = found.map(|found| (pattern.length(), found)).or(best);
        }
        best.map(|(_, found)| found)
    }

    /// Whether somebody has started and will serve a path in a moment.
    pub(super) fn is_awaited(&self) -> bool {
        let now = Instant::now();
        let patterns = self.patterns.values().flat_map(BTreeMap::values).map(|(_, slot)| slot);
        let mut expected = self.exact.values().chain(patterns).flat_map(|slot| &slot.expected);
        expected.any(|(_, until)| until.is_some_and(|until| until > now))
    }

    /// Whether nobody serves anything.
    pub(super) fn is_idle(&self) -> bool {
        let patterns = self.patterns.values().flat_map(BTreeMap::values).map(|(_, slot)| slot);
        self.exact.values().chain(patterns).all(|slot| slot.owners.is_empty() && slot.expected.is_empty())
    }

    /// Every path with its description, vacated ones included.
    pub(super) fn describe(&self, into: &mut BTreeMap<String, String>) {
        let now = Instant::now();
        let patterns = self.patterns.values().flatten().map(|(path, (_, slot))| (path, slot));
        for (path, slot) in self.exact.iter().chain(patterns) {
            if let Some(description) = slot.description(now) {
                into.insert(path.clone(), description.to_owned());
            }
        }
    }
}

/// The answer of a path that nobody serves any more.
pub(super) fn vacated(text: &str) -> Response {
    Response::error(http::StatusCode::SERVICE_UNAVAILABLE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use weir_core::http::Request;

    struct Nobody;

    #[async_trait]
    impl Handler for Nobody {
        async fn handle(&self, _: Request) -> Response {
            vacated("nobody")
        }
    }

    fn open(table: &mut Table, path: &str, serving: u64) -> Arc<dyn Handler> {
        let handler: Arc<dyn Handler> = Arc::new(Nobody);
        table.open(&Pattern::new(path), serving, Arc::clone(&handler), "text".into());
        handler
    }

    fn served_by(table: &Table, path: &str, handler: &Arc<dyn Handler>) -> bool {
        match table.find(&Path::parse(path).unwrap().unwrap()) {
            Some(Found::Served(found, _)) => Arc::ptr_eq(&found, handler),
            _ => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_owner_serves_and_after_its_end_the_one_before() {
        let mut table = Table::default();
        let first = open(&mut table, "/post", 1);
        let second = open(&mut table, "/post", 2);
        assert!(served_by(&table, "/post", &second));
        table.close(&Pattern::new("/post"), 2);
        assert!(served_by(&table, "/post", &first));
        table.close(&Pattern::new("/post"), 2);
        table.close(&Pattern::new("/post"), 1);
        let path = Path::parse("/post").unwrap().unwrap();
        assert!(matches!(table.find(&path), Some(Found::Vacated("Service unavailable"))));
        tokio::time::advance(VACATED).await;
        assert!(table.find(&path).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_expected_path_waits_until_it_is_served_or_given_up() {
        let mut table = Table::default();
        let path = Path::parse("/a/post").unwrap().unwrap();
        table.expect(&Pattern::new("/a/post"), 1, None);
        assert!(matches!(table.find(&path), Some(Found::Expected(_))));
        table.unexpect(&Pattern::new("/a/post"), 1);
        assert!(table.find(&path).is_none());
        table.expect(&Pattern::new("/a/post"), 2, Some(Instant::now() + Duration::from_secs(5)));
        assert!(matches!(table.find(&path), Some(Found::Expected(_))));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(table.find(&path).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn exact_routes_win_over_patterns_and_long_ones_over_short() {
        let mut table = Table::default();
        let all = open(&mut table, "/a/", 1);
        let one = open(&mut table, "/a/x/{id}", 2);
        let exact = open(&mut table, "/a/x/y", 3);
        assert!(served_by(&table, "/a/x/y", &exact));
        assert!(served_by(&table, "/a/x/z", &one));
        assert!(served_by(&table, "/a/q", &all));
        assert!(table.find(&Path::parse("/b").unwrap().unwrap()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_vacated_paths_is_bounded() {
        let mut table = Table::default();
        for n in 0..=(VACATED_KEPT as u64 + 5) {
            open(&mut table, &format!("/s{n}/post"), n);
            table.close(&Pattern::new(&format!("/s{n}/post")), n);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(table.exact.len() <= VACATED_KEPT, "{}", table.exact.len());
        assert!(table.exact.contains_key(&format!("/s{}/post", VACATED_KEPT + 5)));
    }
}
