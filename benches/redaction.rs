//! The cost of redaction: `cargo bench --bench redaction`.
//!
//! First short values as in spans, then texts of 64 KiB and 4 MiB: ordinary ones, and ones for which a search that is not
//! linear would be slow.

use campanile::redact::{RedactionSettings, Redactor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Values of spans without a secret.
const VALUES: &[&str] = &[
    "ada",
    "/orders/{id}",
    "shop.example.org",
    "0b1e9f5c-7d3a-4c1e-9b52-8f6d2a7c4e31",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "connection refused by the other side",
];

const LOG: &str =
    "2026-11-21T16:32:09Z INFO shop: order=17 took=3ms status=200 path=/orders/17?page=2&size=50\n";

fn values(c: &mut Criterion) {
    let redactor = Redactor::from_settings(&RedactionSettings::default()).expect("defaults");
    let mut group = c.benchmark_group("values of spans without a secret");
    group.throughput(Throughput::Bytes(VALUES.iter().map(|value| value.len() as u64).sum()));
    group.bench_function("six", |b| {
        b.iter(|| VALUES.iter().map(|value| redactor.text(std::hint::black_box(value)).len()).sum::<usize>());
    });
}

fn texts(c: &mut Criterion) {
    let redactor = Redactor::from_settings(&RedactionSettings::default()).expect("defaults");
    let cases = [
        ("a log", "", LOG),
        ("prose", "", "the order was paid and sent to the other side of the town "),
        ("backslashes", "token=", "\\"),
        ("groups of digits", "", "4242 4242 4242 424 "),
        ("apostrophes", "", "token: f('x), "),
        ("names", "", "token-token_token."),
        ("basic", "", "basic+"),
        ("signs", "", "a=%b:"),
        ("addresses", "", "%40a"),
    ];
    for size in [64 * 1024, 4 * 1024 * 1024] {
        let mut group = c.benchmark_group(format!("texts of {} KiB", size / 1024));
        group.throughput(Throughput::Bytes(size as u64)).sample_size(10);
        for (name, before, part) in cases {
            let text: String = before.chars().chain(part.chars().cycle()).take(size).collect();
            group.bench_function(name, |b| b.iter(|| redactor.text(std::hint::black_box(&text)).len()));
        }
    }
}

criterion_group!(benches, values, texts);
criterion_main!(benches);
