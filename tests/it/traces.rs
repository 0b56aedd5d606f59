//! Spans that a collector is sent.

use crate::{
    harness::{PATIENCE, Server, Setup, eventually},
    http::request,
    peer::{Peer, answer, with_trailers},
};
use std::collections::BTreeMap;

/// The fields of a message in the wire form of protocol buffers: its parts as bytes, its numbers as text.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let end = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap();
        let (digits, rest) = bytes.split_at(end + 1);
        *bytes = rest;
        digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f))
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let value = match key & 7 {
            0 => number(&mut bytes).to_string().into_bytes(),
            wire => {
                let length = if wire == 1 { 8 } else { usize::try_from(number(&mut bytes)).unwrap() };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn all(message: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return vec![message.to_vec()] };
    let found = fields(message).into_iter().filter(|(number, _)| number == first);
    found.flat_map(|(_, value)| all(&value, rest)).collect()
}

fn text(message: &[u8], path: &[u64]) -> String {
    all(message, path).iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>().join(",")
}

const STREAM: &str = "input: { http_server: {} }
buffer: { memory: {} }
pipeline:
  threads: 1
  processors:
    - branch:
        processors: [ { mapping: 'root = tracing_span().traceparent' } ]
        result_map: root = content()
    - log: { message: '${! content() }' }
    - mapping: root = throw(\"no\")
output: { drop: {} }";

#[test]
fn a_collector_is_sent_the_spans_of_a_message() {
    for way in ["http", "grpc"] {
        let peer = Peer::start(None, move |_, asked| {
            assert_eq!(asked.version == http::Version::HTTP_2, way == "grpc");
            with_trailers(answer(200, &[], ""))
        });
        let collector = format!(
            "tracer: {{ open_telemetry_collector: {{ service: shop, tags: {{ zone: a }}, {way}: [ {{ address: '{}' }} ] }} }}",
            peer.address
        );
        let server = Server::with(Setup { config: collector, ..Setup::default() });
        server.done("POST", "/streams/a", STREAM);
        let sender = [(
            "traceparent".to_owned(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        )];
        request(server.address(), "POST", "/a/post", &sender, Some(b"x"), PATIENCE);
        let wanted =
            ["branch", "input_http_server_post", "log", "mapping", "mapping", "memory", "output_drop"];
        let spans = eventually("all spans come", PATIENCE, || {
            let mut spans = Vec::new();
            for asked in peer.asked() {
                let (path, start) = if way == "http" {
                    ("/v1/traces", 0)
                } else {
                    ("opentelemetry.proto.collector.trace.v1.TraceService/Export", 5)
                };
                assert!(asked.target.ends_with(path), "{}", asked.target);
                let resource = text(&asked.body[start..], &[1, 1, 1, 2, 1]);
                assert!(resource.starts_with("a,shop,"), "{resource}");
                spans.extend(all(&asked.body[start..], &[1, 2, 2]));
            }
            spans.sort_by_key(|span| text(span, &[5]));
            (spans.len() >= wanted.len()).then_some(spans)
        });
        let names: Vec<_> = spans.iter().map(|span| text(span, &[5])).collect();
        assert_eq!(names, wanted, "{way}");
        let id = |span: &Vec<u8>, field| {
            let bytes = all(span, &[field]).concat();
            bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        };
        let parents: BTreeMap<_, _> = spans.iter().map(|span| (id(span, 2), id(span, 4))).collect();
        let of = |name: &str| spans.iter().find(|span| text(span, &[5]) == name).unwrap();
        assert_eq!(id(of("input_http_server_post"), 4), "b7ad6b7169203331");
        assert_eq!(id(of("memory"), 4), id(of("input_http_server_post"), 2));
        assert_eq!(all(of("memory"), &[13, 2]), all(of("input_http_server_post"), &[2]), "it is linked");
        for name in ["branch", "log", "output_drop"] {
            assert_eq!(id(of(name), 4), id(of("memory"), 2), "{name}");
        }
        assert!(spans.iter().all(|span| id(span, 1) == "0af7651916cd43dd8448eb211c80319c"));
        let time =
            |span: &Vec<u8>, field| u64::from_le_bytes(all(span, &[field]).concat().try_into().unwrap());
        assert!(spans.iter().all(|span| time(span, 7) <= time(span, 8)));
        // One mapping is in the branch and says so; the other failed.
        let inner = spans.iter().find(|span| id(span, 4) == id(of("branch"), 2)).unwrap();
        assert!(server.log().contains(&format!("-{}-01", id(inner, 2))), "{}", server.log());
        let failed: Vec<_> = spans.iter().filter(|span| !all(span, &[11]).is_empty()).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(parents[&id(failed[0], 2)], id(of("memory"), 2));
        assert!(text(failed[0], &[11, 3, 2, 1]).contains("no"), "{}", text(failed[0], &[11, 3, 2, 1]));
        assert_eq!(text(failed[0], &[9, 1]), "error");
    }
}

#[test]
fn a_collector_that_is_away_costs_no_message() {
    let config = "tracer: { open_telemetry_collector: { http: [ { address: 'localhost:1' } ] } }".to_owned();
    let mut server = Server::with(Setup { config, ..Setup::default() });
    let stream = "input: { generate: { count: 20000, interval: '', mapping: root = 1 } }\npipeline: { processors: [ { mapping: root = this } ] }\noutput: { drop: {} }";
    server.done("POST", "/streams/a", stream);
    eventually("it ends", PATIENCE, || (!server.is_active("a")).then_some(()));
    eventually("it is told", PATIENCE, || server.log().contains("Failed to send spans").then_some(()));
    server.stop();
}
