//! What the codec costs: a deposit's header and payload as a server reads them, and an answer as a
//! client does.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use depot_protocol::{
    Answer, ClientCodec, Digest, Expecting, Incoming, ReplicaCount, Request, ServerCodec,
};
use tokio_util::codec::Decoder;

const HASH: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A deposit of so many bytes, as it comes over the wire.
fn deposit(size: usize) -> Vec<u8> {
    let header = format!(
        "id_cliente:0b5c8f0e-52a1-4d3f-9d0a-2f3c5d6e7f80|qtd_replicas:2|tamanho_arquivo:{size}\
         |hash_arquivo:{HASH}|nome_arquivo:reports/2026/november/figures.ods\n"
    );
    [header.into_bytes(), vec![7; size]].concat()
}

/// Decodes all of a deposit.
fn take(wire: &[u8], buffer: &mut BytesMut) -> usize {
    buffer.extend_from_slice(wire);
    let (mut codec, mut received) = (ServerCodec::new(), 0);
    loop {
        match codec.decode(buffer).expect("the deposit is well-formed") {
            Some(Incoming::Payload(piece)) => received += piece.len(),
            Some(Incoming::PayloadEnd) => return received,
            Some(_) => {}
            None => panic!("the deposit is whole"),
        }
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let line = deposit(0);
    let line = &line[..line.len() - 1];
    group.bench_function("parse a deposit's header", |bencher| {
        bencher.iter(|| Request::parse(black_box(line)).expect("it is well-formed"));
    });
    let request = Request::parse(line).expect("it is well-formed");
    group.bench_function("render it", |bencher| bencher.iter(|| black_box(&request).render()));

    for (name, size) in [("take a deposit of 4 KiB", 4096), ("take a deposit of 64 KiB", 65536)] {
        let (wire, mut buffer) = (deposit(size), BytesMut::new());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| bencher.iter(|| take(&wire, &mut buffer)));
    }

    let answer = Answer::Deposited {
        replicas: ReplicaCount::new(2),
        copies: 1,
        hash: Digest::parse(HASH).expect("it is a hash"),
    };
    let (mut codec, mut buffer) = (ClientCodec::new(), BytesMut::new());
    group.throughput(Throughput::Elements(1));
    group.bench_function("answer a deposit, and read that", |bencher| {
        bencher.iter(|| {
            black_box(&answer).encode(&mut buffer);
            codec.expect(Expecting::Deposited).expect("nothing stands out");
            codec.decode(&mut buffer).expect("it is well-formed")
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
