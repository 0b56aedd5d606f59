//! Paths of requests and the patterns they match, segment by segment.

/// A request's path as its decoded segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

/// A path that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPath;

impl Path {
    /// Decodes a path. A segment with an encoded slash, or that is no text, matches no name: `None`.
    pub(crate) fn parse(path: &str) -> Result<Option<Self>, BadPath> {
        let Some(rest) = path.strip_prefix('/') else { return Ok(None) };
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            match String::from_utf8(decode(segment)?) {
                Ok(text) if !text.contains('/') => segments.push(text),
                _ => return Ok(None),
            }
        }
        Ok(Some(Self(segments)))
    }

    /// The decoded segments; a trailing slash is an empty one at the end.
    pub(crate) fn segments(&self) -> &[String] {
        &self.0
    }

    /// The path without the segments of a prefix, if it starts with them and goes on.
    pub(crate) fn below(&self, prefix: &[String]) -> Option<Self> {
        let rest = self.0.strip_prefix(prefix)?;
        (!rest.is_empty() && !prefix.is_empty()).then(|| Self(rest.to_vec()))
    }

    /// The segments joined again, decoded: what exact routes are found by.
    pub(crate) fn key(&self) -> String {
        join(&self.0)
    }
}

fn join(segments: &[String]) -> String {
    let mut key = String::with_capacity(segments.iter().map(|segment| segment.len() + 1).sum());
    for segment in segments {
        key.push('/');
        key.push_str(segment);
    }
    key
}

fn decode(text: &str) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(BadPath);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).map_err(|_| BadPath)?);
    }
    Ok(out)
}

/// The names and values of a query, decoded; what cannot be decoded is left out.
pub(crate) fn query_pairs(query: &str) -> Vec<(String, String)> {
    let text =
        |part: &str| Some(String::from_utf8_lossy(&decode(&part.replace('+', " ")).ok()?).into_owned());
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// One value of a query by its exact name, decoded; the first if it repeats.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    query_pairs(query).into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// A pattern: `{name}` stands for one segment that is not empty, a trailing `/` for everything below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    parts: Vec<Part>,
    below: bool,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn new(path: &str) -> Self {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let (rest, below) = rest.strip_suffix('/').map_or((rest, rest.is_empty()), |rest| (rest, true));
        let parts = if rest.is_empty() && below { Vec::new() } else { rest.split('/').map(part).collect() };
        Self { text: format!("/{}", path.trim_start_matches('/')), parts, below }
    }

    /// The same pattern below one segment, which is taken literally.
    #[must_use]
    pub(crate) fn under(mut self, segment: &str) -> Self {
        self.text.insert_str(0, segment);
        self.text.insert(0, '/');
        self.parts.insert(0, Part::Text(segment.to_owned()));
        self
    }

    /// How it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The path it stands for alone, if it has neither variables nor a trailing slash.
    pub(crate) fn exact(&self) -> Option<String> {
        let texts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Variable(_) => None,
        });
        let texts: Option<Vec<String>> = texts.collect();
        texts.filter(|_| !self.below).map(|texts| join(&texts))
    }

    /// Its first segment, if that is plain text.
    pub(crate) fn first(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// How many segments it names: of several that match, the longest wins.
    pub(crate) fn length(&self) -> usize {
        self.parts.len()
    }

    /// The variables, if it matches.
    pub(crate) fn variables(&self, path: &Path) -> Option<Vec<(String, String)>> {
        let segments = path.segments();
        let fits =
            if self.below { segments.len() > self.parts.len() } else { segments.len() == self.parts.len() };
        if !fits {
            return None;
        }
        let mut variables = Vec::new();
        for (part, segment) in self.parts.iter().zip(segments) {
            match part {
                Part::Text(text) if text == segment => {}
                Part::Variable(name) if !segment.is_empty() => {
                    variables.push((name.clone(), segment.clone()));
                }
                _ => return None,
            }
        }
        Some(variables)
    }
}

fn part(segment: &str) -> Part {
    match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => Part::Variable(name.split(':').next().unwrap_or(name).to_owned()),
        None => Part::Text(segment.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
        Pattern::new(pattern).variables(&Path::parse(path).unwrap()?)
    }

    #[test]
    fn segments_are_decoded_one_by_one() {
        let path = Path::parse("/streams/a%20b").unwrap().unwrap();
        assert_eq!(path.segments(), ["streams", "a b"]);
        assert_eq!(Path::parse("/streams/a%2Fb"), Ok(None));
        assert_eq!(Path::parse("/streams/%ff"), Ok(None));
        assert_eq!(Path::parse("/streams/%zz"), Err(BadPath));
        assert_eq!(Path::parse("/a%2"), Err(BadPath));
        assert_eq!(Path::parse("*"), Ok(None));
    }

    #[test]
    fn patterns_match_whole_segments() {
        assert_eq!(variables("/streams/{id}", "/streams/x"), Some(vec![("id".into(), "x".into())]));
        assert_eq!(variables("/streams/{id}", "/streams/"), None);
        assert_eq!(variables("/streams/{id}", "/streams/x/"), None);
        assert_eq!(variables("/post", "/post"), Some(vec![]));
        assert_eq!(variables("/post", "/post/"), None);
        assert_eq!(variables("/files/", "/files/a/b"), Some(vec![]));
        assert_eq!(variables("/files/", "/files/"), Some(vec![]));
        assert_eq!(variables("/files/", "/files"), None);
        assert_eq!(variables("/", "/anything"), Some(vec![]));
    }

    #[test]
    fn a_prefix_is_stripped_only_when_the_path_goes_on() {
        let prefix = vec!["benthos".to_owned()];
        let below = |path: &str| Path::parse(path).unwrap().unwrap().below(&prefix).map(|path| path.key());
        assert_eq!(below("/benthos/ping").as_deref(), Some("/ping"));
        assert_eq!(below("/benthos"), None);
        assert_eq!(below("/other/ping"), None);
    }

    #[test]
    fn only_the_exact_name_of_a_query_counts() {
        assert_eq!(query_value("x=1&chilled=true", "chilled").as_deref(), Some("true"));
        assert_eq!(query_value("Chilled=true", "chilled"), None);
        assert_eq!(query_value("chilled", "chilled").as_deref(), Some(""));
        assert_eq!(query_value("note=a+b%21", "note").as_deref(), Some("a b!"));
    }
}
