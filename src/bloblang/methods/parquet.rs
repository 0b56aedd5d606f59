//! Reading Parquet: all of a row group's columns are read, then its rows are put together from them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Repetition};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type};

use super::strings::MAX_BYTES;
use super::target::raw_bytes;
use crate::compression::Algorithm;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Default, Param, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[Spec::plugin(
    "parse_parquet",
    "Parses a Parquet file into an array of its rows.",
    PARSE,
    parse_parquet,
)];

const PARSE: &[Param] = &[Param::bool(
    "byte_array_as_string",
    "Has no effect any more: annotated columns are strings, others bytes.",
)
.default(Default::Bool(false))];

/// Largest description of a file's schema and columns.
const MAX_FOOTER: usize = 1 << 22;
/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 100;
/// Records read at once.
const BATCH: usize = 1024;

fn parse_parquet(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = raw_bytes(&target)?;
    parse(cx, &bytes).map_err(|fault| fault.context("failed to parse parquet"))
}

fn parse(cx: &mut Cx<'_>, bytes: &[u8]) -> Result<Value, Fault> {
    cx.spend(bytes.len() as u64 / 8)?;
    cx.charge(bytes.len())?;
    let bytes = Bytes::copy_from_slice(bytes);
    let footer = match bytes.last_chunk() {
        Some([a, b, c, d, b'P', b'A', b'R', b'1']) => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
        _ => return Err(fault("the file does not end as Parquet does")),
    };
    if footer > MAX_FOOTER {
        return Err(fault(format!("a footer of {footer} bytes exceeds the limit of {MAX_FOOTER}")));
    }
    cx.charge(footer * 16)?;
    // The library follows a schema however deep, and panics at some files that lie.
    let parse = AssertUnwindSafe(|| stacker::grow((1 << 21) + footer * 256, || file(cx, &Arc::new(bytes))));
    catch_unwind(parse).unwrap_or_else(|_| Err(fault("the file is malformed")))
}

fn fault(text: impl ToString) -> Fault {
    Fault::new(text.to_string())
}

fn file(cx: &mut Cx<'_>, bytes: &Arc<Bytes>) -> Result<Value, Fault> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&**bytes).map_err(fault)?;
    let schema = metadata.file_metadata().schema_descr();
    let mut leaves = 0;
    let fields = fields(schema.root_schema(), (0, 0), 0, &mut leaves)?;
    let mut rows = Vec::new();
    for group in metadata.row_groups() {
        let mut columns = (0..leaves)
            .map(|index| column(cx, bytes, schema, group, index))
            .collect::<Result<Vec<_>, Fault>>()?;
        for _ in 0..group.num_rows() {
            cx.spend(1)?;
            cx.charge(24)?;
            rows.push(object(cx, &fields, &mut columns)?);
        }
    }
    Ok(rows.into())
}

/// A part of the schema.
struct Field {
    name: Text,
    repetition: Repetition,
    /// Definition level with it there, and repetition level of its further items.
    levels: (i16, i16),
    /// Its columns.
    leaves: std::ops::Range<usize>,
    content: Content,
}

enum Content {
    Leaf,
    Object(Vec<Field>),
    /// What only wraps a field.
    Only(Box<Field>),
    /// Keys and values.
    Map(Box<Field>),
}

fn fields(group: &Type, levels: (i16, i16), depth: usize, leaves: &mut usize) -> Result<Vec<Field>, Fault> {
    if depth > MAX_DEPTH {
        return Err(fault(format!("the schema is nested deeper than {MAX_DEPTH}")));
    }
    group.get_fields().iter().map(|field| self::field(field, levels, depth, leaves)).collect()
}

fn field(of: &Type, (def, rep): (i16, i16), depth: usize, leaves: &mut usize) -> Result<Field, Fault> {
    let info = of.get_basic_info();
    let repetition = if info.has_repetition() { info.repetition() } else { Repetition::REQUIRED };
    let levels = match repetition {
        Repetition::REQUIRED => (def, rep),
        Repetition::OPTIONAL => (def + 1, rep),
        Repetition::REPEATED => (def + 1, rep + 1),
    };
    let first = *leaves;
    let content = if of.is_primitive() {
        *leaves += 1;
        Content::Leaf
    } else {
        let mut members = fields(of, levels, depth + 1, leaves)?;
        match (info.converted_type(), members.pop()) {
            (_, None) => return Err(fault(format!("group {} has no fields", of.name()))),
            (kind, Some(mut only)) if members.is_empty() && only.repetition == Repetition::REPEATED => {
                match (kind, &mut only.content) {
                    (ConvertedType::LIST, content) => {
                        // The item itself, or a group around it.
                        let name = only.name.as_str();
                        let bare = name == "array" || name.ends_with("_tuple");
                        if let Content::Object(items) = content
                            && items.len() == 1
                            && !bare
                            && let Some(item) = items.pop()
                        {
                            *content = Content::Only(Box::new(item));
                        }
                        Content::Only(Box::new(only))
                    }
                    (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, Content::Object(pair))
                        if pair.len() == 2 =>
                    {
                        Content::Map(Box::new(only))
                    }
                    _ => Content::Object(vec![only]),
                }
            }
            (_, Some(last)) => {
                members.push(last);
                Content::Object(members)
            }
        }
    };
    Ok(Field { name: Text::new(of.name().as_bytes()), repetition, levels, leaves: first..*leaves, content })
}

/// A column of a row group.
struct Column {
    name: String,
    /// Definition and repetition levels.
    levels: VecDeque<(i16, i16)>,
    values: VecDeque<Value>,
}

impl Column {
    fn short(&self) -> Fault {
        fault(format!("column {} ends before its rows do", self.name))
    }
}

fn first<'a>(field: &Field, columns: &'a mut [Column]) -> Result<&'a mut Column, Fault> {
    columns.get_mut(field.leaves.start).ok_or_else(|| fault("a column is missing"))
}

fn object(cx: &mut Cx<'_>, fields: &[Field], columns: &mut [Column]) -> Result<Value, Fault> {
    let mut object = Object::with_capacity(fields.len());
    for field in fields {
        object.insert(field.name.clone(), value(cx, field, columns)?);
    }
    cx.keep(object.into())
}

fn value(cx: &mut Cx<'_>, field: &Field, columns: &mut [Column]) -> Result<Value, Fault> {
    let column = first(field, columns)?;
    let (def, _) = *column.levels.front().ok_or_else(|| column.short())?;
    let repeated = field.repetition == Repetition::REPEATED;
    if def < field.levels.0 {
        for column in columns.get_mut(field.leaves.clone()).unwrap_or_default() {
            column.levels.pop_front();
        }
        return Ok(if repeated { Vec::new().into() } else { Value::Null });
    }
    if !repeated {
        return content(cx, field, columns);
    }
    let mut items = Vec::new();
    loop {
        items.push(content(cx, field, columns)?);
        let next = first(field, columns)?.levels.front();
        if next.is_none_or(|(_, rep)| *rep < field.levels.1) {
            return cx.keep(items.into());
        }
    }
}

fn content(cx: &mut Cx<'_>, field: &Field, columns: &mut [Column]) -> Result<Value, Fault> {
    cx.spend(1)?;
    match &field.content {
        Content::Leaf => {
            let column = first(field, columns)?;
            column.levels.pop_front();
            let value = column.values.pop_front();
            value.ok_or_else(|| column.short())
        }
        Content::Object(fields) => object(cx, fields, columns),
        Content::Only(field) => value(cx, field, columns),
        Content::Map(pairs) => {
            let mut object = Object::new();
            for pair in value(cx, pairs, columns)?.to_array().unwrap_or_default().iter() {
                if let Some([key, value]) =
                    pair.to_object().map(|pair| pair.values().collect::<Vec<_>>()).as_deref()
                {
                    object.insert(key.to_text(), value.clone());
                }
            }
            cx.keep(object.into())
        }
    }
}

/// Reads a column.
fn column(
    cx: &mut Cx<'_>,
    file: &Arc<Bytes>,
    schema: &SchemaDescriptor,
    group: &RowGroupMetaData,
    index: usize,
) -> Result<Column, Fault> {
    let described = schema.column(index);
    let name = described.path().string();
    let place = |fault: Fault| fault.context(format!("column {name}"));
    let chunk = group.columns().get(index).ok_or_else(|| place(fault("it is missing")))?;
    let rows = usize::try_from(group.num_rows()).map_err(fault)?;
    let pages = pages(cx, file, &described, chunk, rows).map_err(place)?;
    let mut column = Column { name: name.clone(), levels: VecDeque::new(), values: VecDeque::new() };
    let text = is_text(&described);
    let unsigned = matches!(described.converted_type(), ConvertedType::UINT_32 | ConvertedType::UINT_64);
    let bytes =
        |bytes: &[u8]| if text { Value::String(Text::new(bytes)) } else { Value::bytes(bytes.to_vec()) };
    let into = &mut column;
    match get_column_reader(described.clone(), Box::new(pages)) {
        ColumnReader::BoolColumnReader(reader) => drain(cx, reader, into, |it| Value::Bool(*it)),
        ColumnReader::Int32ColumnReader(reader) => drain(cx, reader, into, |it| {
            Value::Int(if unsigned { it.cast_unsigned().into() } else { (*it).into() })
        }),
        ColumnReader::Int64ColumnReader(reader) => drain(cx, reader, into, |it| {
            if unsigned && *it < 0 { Value::Uint(it.cast_unsigned()) } else { Value::Int(*it) }
        }),
        ColumnReader::Int96ColumnReader(reader) => drain(cx, reader, into, |it| Value::Int(it.to_nanos())),
        ColumnReader::FloatColumnReader(reader) => drain(cx, reader, into, |it| Value::Float((*it).into())),
        ColumnReader::DoubleColumnReader(reader) => drain(cx, reader, into, |it| Value::Float(*it)),
        ColumnReader::ByteArrayColumnReader(reader) => drain(cx, reader, into, |it| bytes(it.data())),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => drain(cx, reader, into, |it| bytes(it.data())),
    }
    .map_err(place)?;
    Ok(column)
}

fn is_text(described: &ColumnDescriptor) -> bool {
    matches!(described.converted_type(), ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON)
        || matches!(
            described.logical_type_ref(),
            Some(LogicalType::String | LogicalType::Enum | LogicalType::Json)
        )
}

fn drain<T: DataType>(
    cx: &mut Cx<'_>,
    mut reader: ColumnReaderImpl<T>,
    column: &mut Column,
    value: impl Fn(&T::T) -> Value,
) -> Result<(), Fault> {
    loop {
        let (mut defs, mut reps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (records, _, levels) =
            reader.read_records(BATCH, Some(&mut defs), Some(&mut reps), &mut values).map_err(fault)?;
        if records == 0 && levels == 0 {
            return Ok(());
        }
        cx.spend(levels as u64)?;
        defs.resize(levels, 0);
        reps.resize(levels, 0);
        column.levels.extend(defs.into_iter().zip(reps));
        for it in &values {
            column.values.push_back(cx.keep(value(it))?);
        }
    }
}

/// The pages of a column, decompressed here and not by the library, which trusts the sizes that the file claims.
fn pages(
    cx: &mut Cx<'_>,
    file: &Arc<Bytes>,
    described: &ColumnDescriptor,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<Pages, Fault> {
    let codec = match chunk.compression() {
        Compression::UNCOMPRESSED => None,
        Compression::SNAPPY => Some(Algorithm::Snappy),
        Compression::GZIP(_) => Some(Algorithm::Gzip),
        Compression::ZSTD(_) => Some(Algorithm::Zstd),
        other => return Err(fault(format!("compression {other} is not supported"))),
    };
    let plain =
        chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build().map_err(fault)?;
    let properties = Arc::new(ReaderProperties::builder().set_read_page_statistics(false).build());
    let reader = SerializedPageReader::new_with_properties(file.clone(), &plain, rows, None, properties);
    let mut pages = VecDeque::new();
    for page in reader.map_err(fault)? {
        let mut page = page.map_err(fault)?;
        if page.encoding() == Encoding::DELTA_BYTE_ARRAY {
            // Each value may repeat all of the one before: a small page may stand for any amount.
            return Err(fault("encoding DELTA_BYTE_ARRAY is not supported"));
        }
        // Room for a value and its levels, which a few bits may stand for.
        cx.charge(usize::try_from(page.num_values()).unwrap_or(usize::MAX).saturating_mul(48))?;
        let (skip, compressed) = match &page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                (*def_levels_byte_len as usize + *rep_levels_byte_len as usize, *is_compressed)
            }
            _ => (0, true),
        };
        let (Page::DataPage { buf, .. } | Page::DataPageV2 { buf, .. } | Page::DictionaryPage { buf, .. }) =
            &mut page;
        if let Some(codec) = codec.filter(|_| compressed) {
            let (levels, rest) =
                buf.split_at_checked(skip).ok_or_else(|| fault("a page ends within its levels"))?;
            let rest = if rest.is_empty() {
                Vec::new()
            } else {
                codec.decompress(rest, MAX_BYTES).map_err(fault)?
            };
            cx.spend(rest.len() as u64 / 8)?;
            cx.charge(rest.len())?;
            *buf = [levels, &rest].concat().into();
        }
        counted(&page, described)
            .ok_or_else(|| fault(format!("a page of {} is malformed", page.encoding())))?;
        pages.push_back(page);
    }
    Ok(Pages(pages))
}

/// Makes sure that a page of texts' lengths has no more of them than it has values: the library makes room for all.
fn counted(page: &Page, described: &ColumnDescriptor) -> Option<()> {
    if page.encoding() != Encoding::DELTA_LENGTH_BYTE_ARRAY {
        return Some(());
    }
    let mut rest: &[u8] = page.buffer();
    match page {
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
            rest = rest.get(*def_levels_byte_len as usize + *rep_levels_byte_len as usize..)?;
        }
        Page::DataPage { def_level_encoding, rep_level_encoding, .. } => {
            let levels = [
                (described.max_rep_level(), rep_level_encoding),
                (described.max_def_level(), def_level_encoding),
            ];
            for (_, encoding) in levels.into_iter().filter(|(most, _)| *most > 0) {
                let (len, after) = rest.split_first_chunk()?;
                rest = after.get(u32::from_le_bytes(*len) as usize..)?;
                (*encoding == Encoding::RLE).then_some(())?;
            }
        }
        Page::DictionaryPage { .. } => return None,
    }
    let mut number = || {
        let end = rest.iter().take(9).position(|byte| byte & 0x80 == 0)?;
        let (digits, after) = rest.split_at_checked(end + 1)?;
        rest = after;
        Some(digits.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f)))
    };
    let (_, _, count) = (number()?, number()?, number()?);
    (count <= page.num_values().into()).then_some(())
}

/// Pages that are there already.
struct Pages(VecDeque<Page>);

impl Iterator for Pages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.pop_front().map(Ok)
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.0.pop_front())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Ok(self.0.front().map(|page| PageMetadata {
            num_rows: match page {
                Page::DataPageV2 { num_rows, .. } => Some(*num_rows as usize),
                _ => None,
            },
            num_levels: Some(page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.pop_front();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
