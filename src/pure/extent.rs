//! Where a JSON value ends, by its brackets and quotes alone.

/// Finds the end of one value in bytes that may come in pieces.
#[derive(Default)]
pub(crate) struct Extent {
    /// How many bytes were looked at.
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Extent {
    /// The length of the value at the beginning of `bytes`, at least 1; none while it is incomplete. Asked again, the
    /// bytes begin as they did before. A bare word also ends before one of `stops`.
    pub(crate) fn end(&mut self, bytes: &[u8], stops: &[u8]) -> Option<usize> {
        for byte in bytes.get(self.at..).unwrap_or_default() {
            let at = self.at;
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                // Where a bare word ends, the next value begins.
                b'"' | b'{' | b'[' if self.depth == 0 && at > 0 => return Some(at),
                stop if self.depth == 0 && at > 0 && stops.contains(stop) => return Some(at),
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b' ' | b'\t' | b'\n' | b'\r' if self.depth == 0 => return Some(at.max(1)),
                _ => {}
            }
        }
        None
    }
}

/// How many blanks there are at the beginning.
pub(crate) fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}
