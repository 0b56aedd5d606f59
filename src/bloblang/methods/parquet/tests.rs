use parquet::basic::GzipLevel;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::properties::WriterVersion::{PARQUET_1_0, PARQUET_2_0};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// A column's values, and its definition and repetition levels.
enum Make<'a> {
    Ints(&'a [i64], &'a [i16], &'a [i16]),
    Texts(&'a [&'a str], &'a [i16], &'a [i16]),
}
use Make::{Ints, Texts};

fn levels<'a>(levels: &&'a [i16]) -> Option<&'a [i16]> {
    (!levels.is_empty()).then_some(*levels)
}

fn made(schema: &str, properties: WriterProperties, columns: &[Make<'_>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut out = Vec::new();
    let mut file = SerializedFileWriter::new(&mut out, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    for column in columns {
        let mut writer = group.next_column().unwrap().unwrap();
        match column {
            Ints(values, defs, reps) => {
                writer.typed::<Int64Type>().write_batch(values, levels(defs), levels(reps)).unwrap();
            }
            Texts(values, defs, reps) => {
                let values: Vec<_> = values.iter().map(|text| ByteArray::from(*text)).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, levels(defs), levels(reps)).unwrap();
            }
        }
        writer.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
    out
}

fn parsed(file: Vec<u8>) -> Result<String, String> {
    let none = Args { given: &[], resolved: &[], prepared: None };
    parse_parquet(&mut Cx::detached(), Value::bytes(file), &none)
        .map(|value| value.to_json())
        .map_err(|fault| fault.to_string())
}

fn plain() -> Vec<u8> {
    let schema = "message m { required int64 id; optional binary name (UTF8); required binary raw; }";
    let columns = [Ints(&[1, -2], &[], &[]), Texts(&["é"], &[1, 0], &[]), Texts(&["a", "b"], &[], &[])];
    made(schema, WriterProperties::default(), &columns)
}

#[test]
fn rows_are_objects() {
    assert_eq!(
        parsed(plain()).unwrap(),
        r#"[{"id":1,"name":"é","raw":"YQ=="},{"id":-2,"name":null,"raw":"Yg=="}]"#
    );
}

#[test]
fn groups_lists_and_maps() {
    let schema = "message m {
        optional group g { optional int64 a; repeated int64 b; }
        optional group l (LIST) { repeated group list { optional int64 element; } }
        required group m (MAP) { repeated group key_value { required binary key (UTF8); optional int64 value; } } }";
    let columns = [
        Ints(&[7], &[2, 0, 1], &[0, 0, 0]),
        Ints(&[1, 2], &[2, 2, 0, 1], &[0, 1, 0, 0]),
        Ints(&[5, 6], &[3, 2, 3, 0, 1], &[0, 1, 1, 0, 0]),
        Texts(&["x", "y"], &[1, 1, 0, 0], &[0, 1, 0, 0]),
        Ints(&[9], &[2, 1, 0, 0], &[0, 1, 0, 0]),
    ];
    let want = r#"[{"g":{"a":7,"b":[1,2]},"l":[5,null,6],"m":{"x":9,"y":null}},{"g":null,"l":null,"m":{}},{"g":{"a":null,"b":[]},"l":[],"m":{}}]"#;
    assert_eq!(parsed(made(schema, WriterProperties::default(), &columns)).unwrap(), want);
}

#[test]
fn compressed_and_encoded_in_any_way() {
    let texts: Vec<String> = (0..3000).map(|n| format!("text {}", n % 1700)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let want = format!(
        "[{}]",
        texts.iter().map(|text| format!(r#"{{"a":"{text}"}}"#)).collect::<Vec<_>>().join(",")
    );
    let defs = vec![1; texts.len()];
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(GzipLevel::default())]
    {
        for version in [PARQUET_1_0, PARQUET_2_0] {
            for encoding in [None, Some(Encoding::PLAIN), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)] {
                let mut properties = WriterProperties::builder()
                    .set_compression(compression)
                    .set_writer_version(version)
                    .set_data_page_row_count_limit(1000);
                if let Some(encoding) = encoding {
                    properties = properties.set_dictionary_enabled(false).set_encoding(encoding);
                }
                let columns = [Texts(&texts, &defs, &[])];
                let file = made("message m { optional binary a (UTF8); }", properties.build(), &columns);
                let what = format!("{compression} {version:?} {encoding:?}");
                assert!(parsed(file).unwrap_or_else(|error| error) == want, "{what}");
            }
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let deltas =
        WriterProperties::builder().set_dictionary_enabled(false).set_encoding(Encoding::DELTA_BYTE_ARRAY);
    let deltas = made("message m { required binary a; }", deltas.build(), &[Texts(&["a"], &[], &[])]);
    let mut footer = plain();
    let at = footer.len() - 8;
    footer.get_mut(at..at + 4).unwrap().copy_from_slice(&[255; 4]);
    for (file, want) in [
        (b"nothing".to_vec(), "failed to parse parquet: the file does not end as Parquet does"),
        (b"PAR1\x09\0\0\0PAR1".to_vec(), "failed to parse parquet: "),
        (footer, "a footer of 4294967295 bytes exceeds the limit"),
        (deltas, "failed to parse parquet: column a: encoding DELTA_BYTE_ARRAY is not supported"),
    ] {
        let error = parsed(file).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn few_bytes_that_stand_for_many_values_are_refused() {
    // Two million nulls are some bytes.
    let defs = vec![0; 2_000_000];
    let file = made("message m { optional int64 a; }", WriterProperties::default(), &[Ints(&[], &defs, &[])]);
    assert!(file.len() < 10_000, "{}", file.len());
    assert!(parsed(file).unwrap_err().contains("exceeded the work"));
}

#[test]
fn no_schema_is_too_deep_for_the_stack() {
    let levels = 100_000;
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    let mut count = levels + 2;
    while count > 0x7f {
        footer.push(u8::try_from(count & 0x7f | 0x80).unwrap());
        count >>= 7;
    }
    footer.push(u8::try_from(count).unwrap());
    footer.extend([0x48, 0, 0x15, 2, 0]);
    for _ in 0..levels {
        footer.extend([0x35, 0, 0x18, 0, 0x15, 2, 0]);
    }
    footer.extend([0x15, 2, 0x25, 0, 0x18, 0, 0, 0x16, 0, 0x19, 0x0c, 0]);
    let len = u32::try_from(footer.len()).unwrap().to_le_bytes();
    let file = [b"PAR1", &*footer, &len, b"PAR1"].concat();
    assert_eq!(parsed(file).unwrap_err(), "failed to parse parquet: the schema is nested deeper than 100");
}

#[test]
fn no_damage_does_more_than_fail() {
    let deltas = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .build();
    let deltas = made("message m { required binary a; }", deltas, &[Texts(&["a", "bc", "def"], &[], &[])]);
    for file in [plain(), deltas] {
        for at in 0..file.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut file = file.clone();
                *file.get_mut(at).unwrap() = byte;
                drop(parsed(file));
            }
        }
    }
}
