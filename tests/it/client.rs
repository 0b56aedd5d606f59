//! The HTTP client as servers see it: who it says it is, the ways it takes, how it repeats, what bodies it has.

use crate::{
    harness::{PATIENCE, Server, eventually},
    peer::{Answer, Asked, Peer, answer},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
};
use std::{sync::Arc, time::Instant};

/// Sends the messages `1`, `2`, … through an `http` processor and gives what came of them, a line each.
fn sent(server: &Server, name: &str, count: usize, fields: &str) -> Vec<String> {
    let stream = format!(
        "input: {{ generate: {{ count: {count}, interval: '', mapping: root = counter() }} }}
pipeline:
  threads: 1
  processors:
    - http:
        {}
    - mapping: 'root = \"%v %s%s\".format(@http_status_code | \"-\", content(), error().or(\"\"))'
output: {{ file: {{ path: {}, codec: lines }} }}",
        fields.replace('\n', "\n        "),
        server.path(name).display()
    );
    server.done("POST", &format!("/streams/{name}"), &stream);
    eventually(name, PATIENCE, || (!server.is_active(name)).then_some(()));
    server.read(name).lines().map(str::to_owned).collect()
}

fn ok(_: usize, _: &Asked) -> Answer {
    answer(200, &[], "fine")
}

#[test]
fn it_says_who_it_is() {
    let server = Server::start();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let key = server.write("key.pem", key.serialize_pem());
    let peer = Peer::start(None, ok);
    let tokens = Peer::start(None, |_, asked| match asked.header("authorization") {
        "" => answer(200, &[], r#"{"access_token":"T","token_type":"bearer","expires_in":3600}"#),
        _ => answer(401, &[], "only in the body"),
    });
    let url = format!("url: http://{}/a?b=c", peer.address);
    let token_url = format!("http://{}/token", tokens.address);
    for (name, auth, begin) in [
        ("basic", "basic_auth: { enabled: true, username: u, password: p }".into(), "Basic dTpw"),
        (
            "oauth",
            "oauth: { enabled: true, consumer_key: k, consumer_secret: s, access_token: t, access_token_secret: ts }"
                .into(),
            "OAuth oauth_consumer_key=\"k\", oauth_nonce=\"",
        ),
        (
            "jwt",
            format!(
                "jwt: {{ enabled: true, private_key_file: {}, signing_method: EdDSA, claims: {{ sub: me }} }}",
                key.display()
            ),
            "Bearer eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtZSJ9.",
        ),
        (
            "oauth2",
            format!(
                "oauth2: {{ enabled: true, client_key: 'k k', client_secret: s, token_url: '{token_url}', scopes: [ x, y ], \
                 endpoint_params: {{ audience: [ z ] }} }}"
            ),
            "Bearer T",
        ),
    ] {
        assert_eq!(sent(&server, name, 2, &format!("{url}\n{auth}")), ["200 fine"; 2], "{name}");
        let asked = peer.asked();
        let last = asked.last().unwrap();
        assert!(last.header("authorization").starts_with(begin), "{name}: {}", last.header("authorization"));
        assert_eq!((&*last.verb, &*last.target, &*last.body), ("POST", "/a?b=c", &b"2"[..]));
    }
    // One attempt with a header, one with a body, and the token is kept.
    let bodies: Vec<_> =
        tokens.asked().iter().map(|asked| String::from_utf8_lossy(&asked.body).into_owned()).collect();
    let form = "audience=z&grant_type=client_credentials&scope=x%20y";
    assert_eq!(
        bodies,
        [form, "audience=z&client_id=k%20k&client_secret=s&grant_type=client_credentials&scope=x%20y"]
    );
    assert_eq!(tokens.asked()[0].header("authorization"), "Basic ayUyMGs6cw==");
    let fields = format!("{url}\noauth2: {{ enabled: true, token_url: 'http://127.0.0.1:1' }}\nretries: 0");
    let refused = sent(&server, "bad", 1, &fields);
    assert!(refused[0].contains("oauth2: cannot fetch token"), "{refused:?}");
}

#[test]
fn it_goes_by_a_proxy() {
    let server = Server::start();
    let proxy = Peer::start(None, ok);
    let fields = format!("url: http://nowhere.invalid/a\nproxy_url: http://u:p@{}", proxy.address);
    assert_eq!(sent(&server, "proxied", 1, &fields), ["200 fine"]);
    let asked = &proxy.asked()[0];
    assert_eq!(asked.target, "http://nowhere.invalid/a");
    assert_eq!(asked.header("proxy-authorization"), "Basic dTpw");
}

#[test]
fn it_shows_a_certificate() {
    let server = Server::start();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let made = |name: &str| {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap(), key)
    };
    let (certificate, key) = made("localhost");
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let peer = Peer::start(Some(tls), |_, asked| answer(200, &[], format!("{:?}", asked.version)));
    let (client, key) = made("me");
    let files = [("ca", ca.pem()), ("cert", client.pem()), ("key", key.serialize_pem())];
    let [ca, cert, key] = files.map(|(name, pem)| server.write(name, pem).display().to_string());
    let url = format!("url: https://localhost:{}\nretries: 0", peer.address.port());
    let roots = format!("enabled: true, root_cas_file: {ca}");
    let mine = format!("client_certs: [ {{ cert_file: {cert}, key_file: {key} }} ]");
    for (name, fields, wanted) in [
        ("known", format!("tls: {{ {roots}, {mine} }}"), "200 HTTP/2.0"),
        ("first", format!("tls: {{ {roots}, {mine} }}\ndisable_http2: true"), "200 HTTP/1.1"),
        ("credulous", format!("tls: {{ enabled: true, skip_cert_verify: true, {mine} }}"), "200 HTTP/2.0"),
        ("unknown", format!("tls: {{ {roots} }}"), "- 1http"),
        ("unbelieved", "tls: {}".into(), "- 1http"),
    ] {
        let got = sent(&server, name, 1, &format!("{url}\n{fields}"));
        assert!(got[0].starts_with(wanted), "{name}: {got:?}");
    }
}

#[test]
fn it_repeats_what_may_go_well() {
    let server = Server::start();
    let fields = "retry_period: 10ms\nmax_retry_backoff: 2s\nretries: 2";
    for (name, statuses, more, asked, wanted, millis) in [
        ("again", &[500, 200][..], "", 2, "200 fine", 10),
        ("too_often", &[500], "", 3, "500 1http", 20),
        ("later", &[429, 200], "", 2, "200 fine", 1000),
        ("dropped", &[404], "drop_on: [ 404 ]", 1, "404 1http", 0),
        ("successful", &[404], "successful_on: [ 404 ]", 1, "404 fine", 0),
        ("backed_off", &[503, 503, 200], "backoff_on: [ 503 ]", 3, "200 fine", 2000),
        ("moved", &[302], "follow_redirects: false", 1, "302 fine", 0),
    ] {
        let peer = Peer::start(None, move |before, _| {
            answer(*statuses.get(before).unwrap_or(&statuses[0]), &[("retry-after", "1")], "fine")
        });
        let begun = Instant::now();
        let got = sent(&server, name, 1, &format!("url: http://{}\n{fields}\n{more}", peer.address));
        assert!(got[0].starts_with(wanted), "{name}: {got:?}");
        assert_eq!(peer.asked().len(), asked, "{name}");
        let took = begun.elapsed().as_millis();
        assert!(took >= millis, "{name}: {took} ms");
    }
}

#[test]
fn several_messages_are_one_body_both_ways() {
    let server = Server::start();
    let peer = Peer::start(None, |_, asked| {
        let kind = asked.header("content-type").to_owned();
        answer(201, &[("content-type", &kind), ("x-a", "b")], asked.body.clone())
    });
    let stream = format!(
        "input:
  generate:
    count: 2
    batch_size: 2
    interval: ''
    mapping: |
      root = \"m%v\".format(counter())
      meta k = \"v\"
pipeline:
  processors:
    - http:
        url: http://{}
        batch_as_multipart: true
        headers: {{ Content-Type: text/x }}
        metadata: {{ include_patterns: [ k ] }}
        extract_headers: {{ include_prefixes: [ x- ] }}
    - mapping: root = content() + \" %v %v\".format(@http_status_code, @.\"x-a\")
output: {{ file: {{ path: {}, codec: lines }} }}",
        peer.address,
        server.path("out").display()
    );
    server.done("POST", "/streams/a", &stream);
    eventually("both come back", PATIENCE, || (server.read("out") == "m1 201 b\nm2 201 b\n").then_some(()));
    let asked = &peer.asked()[0];
    let boundary = asked.header("content-type").strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |text: &str| format!("--{boundary}\r\nContent-Type: text/x\r\nk: v\r\n\r\n{text}\r\n");
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        format!("{}{}--{boundary}--\r\n", part("m1"), part("m2"))
    );
}
