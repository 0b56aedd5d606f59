//! Hot paths, one message at a time: what a mapping costs with everything around it taken away.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use weir_bloblang::{Environment, Message, Program, Scratch};

const ORDER: &str = r#"{"id":"ord-000000000","ts":"2026-05-03T02:33:16.848Z","user":{"id":675491,"name":"Foxtrot Oscar","email":"romeo.759@example.com","vip":false},"items":[{"sku":"SKU-22714","qty":1,"price":13.36,"tags":["echo","tango"]},{"sku":"SKU-64173","qty":3,"price":227.93,"tags":["november"]}],"status":"cancelled","country":"br","note":"café \"india lima sierra echo quebec kilo alpha juliett\"","amount":8650.06,"discount":11,"path":"/delta/golf/papa"}"#;

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

fn mappings(criterion: &mut Criterion) {
    map(criterion, "metadata", "meta kind = \"order\"");
    map(criterion, "filter", "root = if this.status == \"new\" { deleted() }");
    map(
        criterion,
        "edit",
        "root = this\nroot.region = this.country.uppercase()\nroot.user.email = deleted()",
    );
    map(
        criterion,
        "projection",
        "root.id = this.id.uppercase()\nroot.when = this.ts\nroot.customer.name = this.user.name\n\
         root.total = this.amount * 1.19\nroot.lines = this.items.length()\nroot.first = this.items.0.sku | \"none\"",
    );
    map(criterion, "uppercase", "root = content().uppercase()");
}

criterion_group!(paths, mappings);
criterion_main!(paths);
