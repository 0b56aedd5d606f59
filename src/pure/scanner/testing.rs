//! Scanning texts in tests.

use bytes::Bytes;
use weir_core::{error::Error, scanner::Scanner};

/// What a scanner makes of a text that is fed in pieces of `size`.
pub(super) fn scanned(scanner: &dyn Scanner, text: &[u8], size: usize) -> Result<Vec<String>, Error> {
    let (mut scan, mut out) = (scanner.open("")?, Vec::new());
    for piece in text.chunks(size) {
        scan.feed(Bytes::copy_from_slice(piece), &mut out)?;
    }
    scan.finish(&mut out)?;
    Ok(out.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned()).collect())
}
