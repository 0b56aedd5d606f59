//! Hot paths, one message at a time: what a mapping costs with everything around it taken away.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use weir_bloblang::{Environment, Message, Program, Scratch, Value};

/// As the documents of the workloads, 916 bytes.
const ORDER: &str = r#"{"id":"ord-000000000","ts":"2026-05-03T02:33:16.848Z","user":{"id":675491,"name":"Foxtrot Oscar","email":"romeo.759@example.com","vip":false,"score":62.15390217316577},"items":[{"sku":"SKU-22714","qty":1,"price":13.36,"tags":["echo","tango","mike"]},{"sku":"SKU-64173","qty":3,"price":227.93,"tags":["november","alpha","lima"]},{"sku":"SKU-90125","qty":7,"price":88.4,"tags":["golf","quebec","victor"]},{"sku":"SKU-31337","qty":2,"price":154.07,"tags":["hotel","sierra","kilo"]}],"status":"cancelled","country":"br","note":"café ☕ \"india lima sierra echo quebec kilo alpha juliett mike bravo papa uniform oscar tango golf romeo delta victor hotel foxtrot november charlie india lima\"","amount":8650.06,"discount":null,"path":"/delta/golf/papa","address":{"street":"Sierra 12","city":"Recife","zip":"50030-230"},"ref":"alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike alpha bravo "}"#;

/// The mapping of a message made anew, result written out.
fn map(criterion: &mut Criterion, name: &str, mapping: &str) {
    let program = Program::parse(mapping, &Environment::new()).expect("the mapping is valid");
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let batch = [Message::new(ORDER)];
            out.clear();
            if let Ok(weir_bloblang::Mapped::Message(message)) =
                program.map(black_box(&batch), 0, &mut scratch)
            {
                message.write_to(&mut out);
            }
            out.len()
        });
    });
}

/// The mapping as a mutation.
fn mutate(criterion: &mut Criterion, name: &str, mapping: &str) {
    let program = Program::parse(mapping, &Environment::new()).expect("the mapping is valid");
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let mut batch = [Message::new(ORDER)];
            out.clear();
            if program.mutate(black_box(&mut batch), 0, &mut scratch).is_ok() {
                batch[0].write_to(&mut out);
            }
            out.len()
        });
    });
}

const EDIT: &str = "root = this\nroot.region = this.country.uppercase()\nroot.user.email = deleted()";
const PROJECTION: &str = "root.id = this.id.uppercase()\nroot.when = this.ts\nroot.customer.name = this.user.name\n\
    root.customer.mail = this.user.email.lowercase()\nroot.total = this.amount * 1.19\n\
    root.lines = this.items.length()\nroot.first = this.items.0.sku | \"none\"\n\
    root.kind = if this.user.vip { \"vip\" } else { this.status }";
const TEN_LINES: &str = "let total = this.items.map_each(item -> item.qty * item.price).sum()\nroot = this\n\
    root.id = this.id.uppercase()\nroot.total = $total.round()\nroot.user.email = deleted()\n\
    root.skus = this.items.filter(item -> item.qty > 2).map_each(item -> item.sku)\n\
    root.kind = match this.status { \"new\" => 1, _ => 2 }\nmeta kind = this.status\n\
    root.first = this.items.0.sku | \"none\"\nroot.big = if $total > 1000 { true } else { false }";

fn mappings(criterion: &mut Criterion) {
    map(criterion, "pass-through", "root = nothing()");
    map(criterion, "metadata", "meta kind = \"order\"");
    map(criterion, "filter", "root = if this.status == \"new\" { deleted() }");
    map(criterion, "edit", EDIT);
    mutate(criterion, "mutation", "root.region = this.country.uppercase()\nroot.user.email = deleted()");
    map(criterion, "projection", PROJECTION);
    map(criterion, "uppercase", "root = content().uppercase()");
}

fn documents(criterion: &mut Criterion) {
    criterion.bench_function("parse", |bencher| {
        bencher.iter(|| Message::new(black_box(ORDER)).value().is_ok());
    });
    let (value, mut out) = (Value::parse_json(ORDER).expect("the document is valid"), Vec::new());
    criterion.bench_function("write", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&value).write_json(&mut out).is_ok()
        });
    });
    criterion.bench_function("compile", |bencher| {
        let environment = Environment::new();
        bencher.iter(|| Program::parse(black_box(TEN_LINES), &environment).is_ok());
    });
}

criterion_group!(paths, mappings, documents);
criterion_main!(paths);
