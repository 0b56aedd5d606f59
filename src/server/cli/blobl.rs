//! `weir blobl`: a mapping over documents, one a line.

use super::{args::BloblArgs, walk::unreadable};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
};
use weir_bloblang::{Environment, Kind, Mapped, Message, ParseError, Program, Scratch, Value, indented};

/// The most documents that go to a thread at once.
const TOGETHER: usize = 256;
/// More threads than this never help.
const MOST_THREADS: usize = 256;

/// Maps every line, and writes the results to stdout and the failures to stderr.
pub(super) fn blobl(args: &BloblArgs) -> Result<ExitCode, String> {
    let (text, folder) = match &args.file {
        Some(path) => (mapping_file(path)?, path.parent().map(Path::to_owned)),
        None => (args.mapping.clone().unwrap_or_default(), None),
    };
    let environment = language(folder.unwrap_or_default());
    let program = Program::parse(&text, &environment).map_err(|error| refused(&text, &error))?;
    if args.explain {
        return super::print(&program.plan().to_string());
    }
    let mapper = Mapper { program, raw: args.raw, pretty: args.pretty };
    let source: Box<dyn Read> = match &args.input {
        Some(path) => Box::new(File::open(path).map_err(|error| {
            format!("failed to open input file: {}", unreadable(&path.to_string_lossy(), &error))
        })?),
        None => Box::new(io::stdin()),
    };
    let lines = Lines { source: BufReader::with_capacity(64 * 1024, source), most: args.max_token_length };
    let done = match args.threads.min(MOST_THREADS) {
        0 | 1 => mapper.run(lines, &mut io::stdout().lock()),
        threads => mapper.run_on(threads, lines),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever reads the results has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.to_string()),
    }
}

fn mapping_file(path: &Path) -> Result<String, String> {
    let failed =
        |error| format!("failed to read mapping file: {}", unreadable(&path.to_string_lossy(), &error));
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(failed)
}

/// The language, with imports relative to a folder.
fn language(folder: PathBuf) -> Environment {
    let loader =
        |path: &Path| fs::read_to_string(path).map_err(|error| unreadable(&path.to_string_lossy(), &error));
    Environment::new().with_loader(Arc::new(loader), folder)
}

/// Why a mapping cannot be used, with its line.
fn refused(text: &str, error: &ParseError) -> String {
    let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
    let shown = weir_config::excerpt::pointed(line, error.line, error.column);
    format!("failed to parse mapping: {error}\n{shown}")
}

/// Documents, one a line.
struct Lines {
    source: BufReader<Box<dyn Read>>,
    most: usize,
}

impl Lines {
    /// The documents that are there, and at least one; none at the end.
    fn next(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        while lines.len() < TOGETHER && (lines.is_empty() || self.source.buffer().contains(&b'\n')) {
            let mut line = Vec::new();
            let most = u64::try_from(self.most).unwrap_or(u64::MAX).saturating_add(1);
            (&mut self.source).take(most).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
            } else if line.len() > self.most {
                let text = "a document is longer than --max-token-length allows";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            lines.push(line);
        }
        Ok(lines)
    }
}

/// What is done to each document.
struct Mapper {
    program: Program,
    raw: bool,
    pretty: bool,
}

impl Mapper {
    /// Maps documents where they are read, in their order.
    fn run(&self, mut lines: Lines, out: &mut dyn Write) -> io::Result<()> {
        let (mut scratch, mut results) = (Scratch::default(), Vec::new());
        loop {
            let documents = lines.next()?;
            if documents.is_empty() {
                return out.flush();
            }
            self.map(documents, &mut scratch, &mut results);
            out.write_all(&results)?;
            out.flush()?;
            results.clear();
        }
    }

    /// Maps documents on several threads.
    fn run_on(&self, threads: usize, mut lines: Lines) -> io::Result<()> {
        let (sender, receiver) = mpsc::sync_channel(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        thread::scope(|scope| {
            let spawn = |receiver: Arc<Mutex<_>>| scope.spawn(move || self.work(&receiver));
            let workers: Vec<_> = (0..threads).map(|_| spawn(Arc::clone(&receiver))).collect();
            // The workers alone hold it: when they are gone, nothing waits to be taken.
            drop(receiver);
            let read = loop {
                match lines.next() {
                    Ok(documents) if documents.is_empty() => break Ok(()),
                    Ok(documents) => {
                        if sender.send(documents).is_err() {
                            break Ok(());
                        }
                    }
                    Err(error) => break Err(error),
                }
            };
            drop(sender);
            let worked = workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a thread stopped working")))
            });
            worked.fold(read, io::Result::and)
        })
    }

    fn work(&self, documents: &Mutex<Receiver<Vec<Vec<u8>>>>) -> io::Result<()> {
        let (mut scratch, mut results) = (Scratch::default(), Vec::new());
        loop {
            let next = documents.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(documents) = next else { return Ok(()) };
            self.map(documents, &mut scratch, &mut results);
            let mut out = io::stdout().lock();
            // The others must not wait for a reader that has gone.
            if let Err(error) = out.write_all(&results).and_then(|()| out.flush()) {
                return if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) };
            }
            results.clear();
        }
    }

    fn map(&self, documents: Vec<Vec<u8>>, scratch: &mut Scratch, out: &mut Vec<u8>) {
        for document in documents {
            let message =
                if self.raw { Message::from_value(Value::bytes(document)) } else { Message::new(document) };
            match self.program.map(&[message], 0, scratch) {
                Ok(Mapped::Message(message)) => self.write(&message, out),
                Ok(Mapped::Dropped) => out.push(b'\n'),
                Err(fault) => eprintln!("failed to execute map: {}", innermost(&fault.to_string())),
            }
        }
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        let is_structured = |value: &Value| matches!(value.kind(), Kind::Object | Kind::Array);
        let start = out.len();
        if self.pretty
            && message.value().is_ok_and(is_structured)
            && let Ok(lines) = indented(message.content(), b"  ")
        {
            out.extend_from_slice(&lines);
        } else {
            message.write_to(out);
        }
        if out.len() == start && message.has_value() {
            // JSON cannot express it.
            out.extend_from_slice(b"null");
        }
        out.push(b'\n');
    }
}

/// Of nested statements that failed, the innermost; what the document itself is to blame for names none.
fn innermost(text: &str) -> &str {
    let whole = text.find("unable to reference message as structured");
    text.get(whole.or_else(|| text.rfind("failed assignment (line ")).unwrap_or(0)..).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mapping: &str, most: usize, documents: &'static str) -> Result<String, String> {
        let program = Program::parse(mapping, &Environment::new()).unwrap();
        let mapper = Mapper { program, raw: false, pretty: true };
        let lines = Lines { source: BufReader::new(Box::new(documents.as_bytes())), most };
        let mut out = Vec::new();
        mapper.run(lines, &mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_line_is_a_document() {
        let out = run(
            "root = if this.a == 2 { deleted() } else { this.a }",
            99,
            "{\"a\":1}\r\n{\"a\":2}\n\n{\"a\":[3]}",
        );
        assert_eq!(out.unwrap(), "1\n\n[\n  3\n]\n");
    }

    #[test]
    fn failures_and_what_json_lacks_are_shown_as_the_reference_does() {
        assert_eq!(run("root.a = \"inf\".number()", 9, "1").unwrap(), "null\n");
        assert_eq!(
            innermost("failed assignment (line 3): x: failed assignment (line 1): e"),
            "failed assignment (line 1): e"
        );
        let text = "unable to reference message as structured (with 'this'): message is empty";
        assert_eq!(innermost(&format!("failed assignment (line 1): {text}")), text);
        assert_eq!(innermost("é"), "é");
    }

    #[test]
    fn documents_are_as_long_as_is_allowed() {
        assert_eq!(run("root = content()", 3, "abc\nabc").unwrap(), "abc\nabc\n");
        assert!(run("root = content()", 3, "abc\nabcd").is_err());
    }

    #[test]
    fn a_mapping_that_is_refused_is_shown() {
        let text = "root.a = 1\nroot.b = ";
        let error = Program::parse(text, &Environment::new()).unwrap_err();
        assert_eq!(
            refused(text, &error),
            "failed to parse mapping: line 2 char 10: expected query\n  |\n2 | root.b = \n  |          ^---"
        );
    }
}
