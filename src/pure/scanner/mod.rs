//! Scanners: how a stream of bytes is cut into messages.

mod chunker;
mod csv;
mod decompress;
mod documents;
mod json_array;
mod json_documents;
mod lines;
mod re_match;
mod skip_bom;
mod switch;
mod tar;
#[cfg(test)]
mod testing;
mod to_the_end;

use weir_core::registry::ScannerSpec;

/// Every scanner of this folder, sorted by name.
pub(crate) static SPECS: &[&ScannerSpec] = &[
    &chunker::SPEC,
    &csv::SPEC,
    &decompress::SPEC,
    &json_array::SPEC,
    &json_documents::SPEC,
    &lines::SPEC,
    &re_match::SPEC,
    &skip_bom::SPEC,
    &switch::SPEC,
    &tar::SPEC,
    &to_the_end::SPEC,
];
