//! Tokens: who may do what, by the hash of what they show. A file of them is read again when it changes.
//!
//! A line is `name, sha256 of the token in hex, scopes`, the scopes apart by blanks: `ci, 9f86…, read write`. Empty
//! lines and those that begin with `#` say nothing.

use super::same;
use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest as _, Sha256};
use std::{fs, io::Read as _, sync::Arc};
use weir_core::http::{Caller, Scope};
use weir_io::reread::Reread;

/// The longest file, in bytes.
const LONGEST: u64 = 1 << 20;

struct Token {
    hash: [u8; 32],
    caller: Caller,
}

/// Everyone who has a token.
pub(crate) struct Tokens {
    fixed: Vec<Token>,
    file: Option<Reread<Vec<Token>>>,
}

impl Tokens {
    /// Those of `http.auth` and of a file. Errors name the line.
    pub(crate) fn new(lines: &[String], file: Option<&str>) -> Result<Self, String> {
        let fixed = lines.iter().enumerate().map(|(index, line)| {
            parse(line).map_err(|error| format!("http.auth, entry {}: {error}", index + 1))
        });
        let fixed = fixed.collect::<Result<_, _>>()?;
        let file = file.map(|path| Reread::new(vec![path.to_owned()], read));
        Ok(Self { fixed, file: file.transpose()? })
    }

    /// Whose token this is.
    pub(super) fn find(&self, token: &str) -> Option<Caller> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let find =
            |all: &[Token]| all.iter().find(|one| same(&one.hash, &hash)).map(|one| one.caller.clone());
        find(&self.fixed).or_else(|| {
            let file = self.file.as_ref()?;
            find(&file.current(read))
        })
    }
}

/// The tokens of a file, the only one.
fn read(paths: &[String]) -> Result<Vec<Token>, String> {
    let path = paths.first().map_or("", String::as_str);
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    let length = read.map_err(|error| format!("the tokens in {path} cannot be read: {error}"))?;
    if length as u64 > LONGEST {
        return Err(format!("the tokens in {path} are longer than {LONGEST} bytes"));
    }
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| parse(line).map_err(|error| format!("{path}, line {number}: {error}")))
        .collect()
}

fn parse(line: &str) -> Result<Token, String> {
    // What is wrong is said without the line: somebody may have written the token itself.
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    let [name, hash, scopes] = parts[..] else {
        return Err("a token is 'name, sha256 in hex, scopes'".into());
    };
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err("the name is empty, longer than 100 bytes or has odd characters".into());
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes =
        bytes.ok_or_else(|| format!("the hash of '{name}' is not the 64 digits of a sha256 in hex"))?;
    let scopes = scopes.split_whitespace().map(|word| {
        let known = || format!("'{word}' is no scope: they are read, write, tap and admin");
        Scope::parse(word).ok_or_else(known)
    });
    let scopes: Vec<Scope> = scopes.collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return Err(format!("'{name}' has no scope: they are read, write, tap and admin"));
    }
    Ok(Token { hash: bytes, caller: Caller { name: Arc::from(name), scopes: scopes.into() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, token: &str, scopes: &str) -> String {
        format!("{name}, {}, {scopes}", HEXLOWER_PERMISSIVE.encode(&Sha256::digest(token)))
    }

    #[test]
    fn lines_say_who_may_do_what() {
        let tokens =
            Tokens::new(&[line("ci", "one", "write"), line("eye", "two", "read tap")], None).unwrap();
        let may = |token, scope| tokens.find(token).is_some_and(|caller| caller.may(scope));
        let table = [
            ("one", [true, true, false, false]),
            ("two", [true, false, true, false]),
            ("three", [false; 4]),
            ("", [false; 4]),
        ];
        for (token, wanted) in table {
            let found = [Scope::Read, Scope::Write, Scope::Tap, Scope::Admin].map(|scope| may(token, scope));
            assert_eq!(found, wanted, "{token}");
        }
        assert_eq!(&*tokens.find("one").unwrap().name, "ci");
    }

    #[test]
    fn bad_lines_are_named_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (bad, said) in [
            ("secret", "name, sha256"),
            ("a, secret, read", "the hash of 'a'"),
            (&line("a", "t", "all"), "'all' is no scope"),
            (&line("a", "t", ""), "has no scope"),
            (&line("", "t", "read"), "the name"),
        ] {
            fs::write(&path, format!("# ours\n\n{bad}\n")).unwrap();
            let error = Tokens::new(&[], path.to_str()).err().unwrap();
            assert!(error.contains("line 3") && error.contains(said), "{bad}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(Tokens::new(&[], Some("/nowhere")).is_err());
        assert!(Tokens::new(&["x".into()], None).err().unwrap().contains("http.auth, entry 1"));
    }
}
