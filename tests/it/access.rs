//! Who may do what: tokens with scopes, an address of their own for the control routes, certificates of clients.

use crate::alone::ask;
use crate::behaviour::{ANY_PORT, refused};
use crate::harness::{ENDLESS, PATIENCE, Server, Setup, eventually, idle_stream};
use crate::http;
use serde_json::json;
use std::fs;

/// The hashes of the tokens `abc` and `def`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const DEF: &str = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";

fn guarded(tokens: &str) -> Server {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("tokens"), tokens).unwrap();
    let args = vec!["--auth-file".into(), "tokens".into()];
    Server::inside(place, Setup { args, ..Setup::default() })
}

fn ask_as(server: &Server, token: &str, method: &str, path: &str, body: Option<&str>) -> http::Answer {
    let header = ("Authorization".to_owned(), format!("Bearer {token}"));
    let headers = if token.is_empty() { Vec::new() } else { vec![header] };
    http::request(server.address(), method, path, &headers, body.map(str::as_bytes), PATIENCE)
}

#[test]
fn tokens_say_who_may_do_what_and_who_did() {
    let server = guarded(&format!("# two\nann, {ABC}, write\neye, {DEF}, read\n"));
    let stream = idle_stream("secret");
    let table = [
        ("", "GET", "/ping", 200),
        ("", "GET", "/ready", 200),
        ("", "GET", "/metrics", 200),
        ("", "GET", "/streams", 401),
        ("", "GET", "/endpoints", 401),
        ("", "GET", "/openapi.json", 401),
        ("", "POST", "/streams/a", 401),
        ("wrong", "GET", "/streams", 401),
        ("def", "POST", "/streams/a", 403),
        ("abc", "POST", "/streams/a", 200),
        ("def", "GET", "/streams/a", 200),
        ("def", "GET", "/endpoints", 200),
        ("def", "GET", "/openapi.json", 200),
        ("def", "GET", "/streams/a/history", 200),
        ("def", "POST", "/streams/a/pause", 403),
        ("def", "DELETE", "/streams/a", 403),
        ("def", "POST", "/streams/a/plan", 403),
        ("def", "POST", "/plan", 403),
        ("abc", "GET", "/revisions", 200),
    ];
    for (token, method, path, wanted) in table {
        let body = (method == "POST" && path == "/streams/a").then_some(stream.as_str());
        let answer = ask_as(&server, token, method, path, body);
        assert_eq!(answer.status, wanted, "{token} {method} {path}: {}", answer.text());
    }
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("\nweir_failed_logins_total 1\n"), "{metrics}");
    let revisions = ask_as(&server, "def", "GET", "/revisions", None).json();
    assert_eq!(revisions[0]["actor"], "ann");
    let lacks = ask_as(&server, "def", "POST", "/streams", Some("{}")).json();
    assert_eq!(lacks["error"], "'eye' lacks the scope 'write'");
}

#[test]
fn a_plan_shows_no_more_than_its_caller_may_see() {
    let server = guarded(&format!("ann, {ABC}, write\nbob, {DEF}, write tap\n"));
    let stream = |mapping: &str| {
        ENDLESS.replace("output:", &format!("pipeline: {{ processors: [ mapping: '{mapping}' ] }}\noutput:"))
    };
    assert_eq!(ask_as(&server, "abc", "POST", "/streams/a", Some(&stream("root = this"))).status, 200);
    let plan = |token: &str, mapping: &str, more: &str| {
        let body = format!("spec:\n  {}\n{more}", stream(mapping).replace('\n', "\n  "));
        ask_as(&server, token, "POST", "/streams/a/plan?sample=1", Some(&body))
    };
    let refused = plan("abc", "root = 1", "");
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(refused.json()["error"], "no messages are given, and 'ann' lacks the scope 'tap'");
    assert_eq!(plan("bob", "root = 1", "").status, 401);
    assert_eq!(plan("def", "root = 1", "").json()["data"]["messages"], 1);
    let given = "messages: [ { content: '1' } ]";
    for (mapping, name) in [("root = env(\"PATH\")", "env"), ("root = file(\"tokens\").string()", "file")] {
        let told = plan("abc", mapping, given).json();
        let left_out = format!("planned pipeline.processors.0 ({name})");
        assert_eq!(
            (&told["data"]["left_out"], &told["data"]["same"]),
            (&json!([left_out]), &json!(1)),
            "{told}"
        );
    }
    let told = plan("abc", "root = nonesuch()", given).json();
    let left_out = told["data"]["left_out"][0].as_str().unwrap();
    assert!(left_out.starts_with("planned pipeline.processors.0 (not built: "), "{told}");
    assert!(left_out.contains("nonesuch"), "{told}");
}

#[test]
fn a_changed_file_of_tokens_counts_and_a_bad_one_does_not() {
    let server = guarded(&format!("ann, {ABC}, read\n"));
    let status = |token: &str| ask_as(&server, token, "GET", "/streams", None).status;
    server.write("tokens", format!("ann, {ABC}, read\nbob, {DEF}\n"));
    eventually("the bad line is named", PATIENCE, || {
        assert_eq!(status("abc"), 200);
        server.log().contains("tokens, line 2").then_some(())
    });
    server.write("tokens", format!("bob, {DEF}, read\n"));
    eventually("the new tokens count", PATIENCE, || (status("abc") == 401).then_some(()));
    assert_eq!(status("def"), 200);
    let said = refused(&server, &format!("{ANY_PORT}  auth: [ 'x, y, read' ]\n"), "other");
    assert!(said.contains("http.auth, entry 1: the hash of 'x'"), "{said}");
}

#[test]
fn control_routes_may_have_an_address_of_their_own() {
    let args = vec!["--control-address".into(), "127.0.0.1:0".into()];
    let server = Server::with(Setup { args, ..Setup::default() });
    let address = eventually("it listens for control requests", PATIENCE, || {
        let log = server.log();
        log.split_once("Listening for control requests at: http://").map(|(_, address)| address.to_owned())
    });
    let address = address.split(|c: char| c == '"' || c.is_whitespace()).next().unwrap().parse().unwrap();
    let control = |method: &str, path: &str, body: Option<&str>| {
        http::request(address, method, path, &[], body.map(str::as_bytes), PATIENCE).status
    };
    let stream = "input: { http_server: { path: /post } }\noutput: { drop: {} }\n";
    assert_eq!(control("POST", "/streams/hook", Some(stream)), 200);
    for path in ["/streams", "/endpoints", "/openapi.json"] {
        assert_eq!((server.get(path).status, control("GET", path, None)), (404, 200), "{path}");
    }
    assert_eq!(server.post("/hook/post", "x").status, 200);
    assert_eq!(control("POST", "/hook/post", Some("x")), 404);
    assert_eq!((server.get("/ready").status, control("GET", "/ready", None)), (200, 200));
}

#[test]
fn clients_show_a_certificate_where_one_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let believed = crate::alone::certificate(place.path());
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = parameters.self_signed(&authority).unwrap();
    fs::write(place.path().join("ca.pem"), root.pem()).unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority);
    let config = format!("{ANY_PORT}  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: ca.pem\n");
    let server = Server::inside(place, Setup { own_http: Some(config), ..Setup::default() });
    let made = |until: (i32, u8, u8)| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        (vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
    };
    assert!(ask(server.address(), &believed, Some(made((2100, 1, 1)))).unwrap().ends_with("pong"));
    assert!(ask(server.address(), &believed, None).is_err());
    assert!(ask(server.address(), &believed, Some(made((2001, 1, 1)))).is_err(), "expired");
    let said = refused(&server, &format!("{ANY_PORT}  client_ca_file: ca.pem\n"), "other");
    assert!(said.contains("client_ca_file"), "{said}");
}
