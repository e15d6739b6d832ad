//! No bytes whatsoever make a reader panic, or allocate more than a small multiple of their number.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::alloc::System;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use secateur_model::gguf::GgufHeader;
use secateur_model::hf::read_header;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes allocated per byte read, counting again what a growing list moves. The worst that files can do are many short
/// keys, and shapes of many one-digit sizes in JSON.
const MULTIPLE: usize = 24;

/// For error messages.
const CONSTANT: usize = 4 << 10;

const CASES: u32 = 20_000;

/// One change to a file.
#[derive(Debug, Clone)]
enum Mutation {
    Byte { at: prop::sample::Index, value: u8 },
    Number { at: prop::sample::Index, value: u64 },
    Cut { at: prop::sample::Index },
    Repeat { from: prop::sample::Index, to: prop::sample::Index },
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let number = prop_oneof![
        any::<u64>(),
        (0..64_u32).prop_map(|shift| 1 << shift),
        (0..64_u32).prop_map(|shift| u64::MAX >> shift),
        0..64_u64,
    ];
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, value)| Mutation::Byte { at, value }),
        4 => (index(), number).prop_map(|(at, value)| Mutation::Number { at, value }),
        1 => index().prop_map(|at| Mutation::Cut { at }),
        1 => (index(), index()).prop_map(|(from, to)| Mutation::Repeat { from, to }),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let place = |index: &prop::sample::Index| index.index(bytes.len());
    match mutation {
        Mutation::Byte { at, value } => {
            let at = place(at);
            bytes[at] = *value;
        }
        Mutation::Number { at, value } => {
            let at = place(at);
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        Mutation::Cut { at } => bytes.truncate(place(at)),
        Mutation::Repeat { from, to } => {
            let (from, to) = (place(from), place(to));
            let piece = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, piece);
        }
    }
}

/// Feeds a reader with random bytes behind a good start, and with good files that were changed a little.
fn attack(start: &[u8], good: &[&[u8]], read: impl Fn(&[u8]) -> bool) {
    let good: Vec<Vec<u8>> = good.iter().map(|file| file.to_vec()).collect();
    let random = prop::collection::vec(any::<u8>(), 0..600).prop_map({
        let start = start.to_vec();
        move |bytes| [&start[..], &bytes].concat()
    });
    let changed = (prop::sample::select(good), prop::collection::vec(any_mutation(), 0..4)).prop_map(
        |(mut bytes, mutations)| {
            for mutation in &mutations {
                mutate(&mut bytes, mutation);
            }
            bytes
        },
    );
    let accepted = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop_oneof![1 => random, 3 => changed], |bytes| {
        let region = Region::new(ALLOCATOR);
        if read(&bytes) {
            accepted.set(accepted.get() + 1);
        }
        let allocated = region.change().bytes_allocated;
        let allowed = MULTIPLE * bytes.len() + CONSTANT;
        prop_assert!(allocated <= allowed, "{allocated} bytes allocated for {} bytes", bytes.len());
        Ok(())
    });
    outcome.unwrap();
    // else the attack never got past the first check
    assert!(accepted.get() > CASES / 20, "{} of {CASES} files were accepted", accepted.get());
    assert!(accepted.get() < CASES, "every file was accepted");
}

/// One test, because the allocator counts for the whole process.
#[test]
fn no_file_makes_a_reader_panic_or_allocate_much() {
    many_short_keys_stay_within_the_multiple();
    a_long_shape_stays_within_the_multiple();
    gguf();
    safetensors();
}

fn gguf() {
    let good = [
        &include_bytes!("../../tests/golden/gguf/version3.gguf")[..],
        include_bytes!("../../tests/golden/gguf/aligned64.gguf"),
        include_bytes!("../../tests/golden/gguf/split-00002-of-00003.gguf"),
    ];
    attack(b"GGUF\x03\0\0\0", &good, |bytes| GgufHeader::parse(bytes).is_ok());
    let passed_over = |bytes: &[u8]| GgufHeader::read_wanted(bytes, bytes.len() as u64, |_| false).is_ok();
    attack(b"GGUF\x03\0\0\0", &good, passed_over);
}

fn safetensors() {
    let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},
"b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]},"c":{"dtype":"F16","shape":[],"data_offsets":[24,26]}}"#;
    let good = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 26]].concat();
    attack(&200_u64.to_le_bytes(), &[&good], |bytes| read_header(bytes, bytes.len() as u64, 0).is_ok());
}

fn many_short_keys_stay_within_the_multiple() {
    let mut file = [&b"GGUF\x03\0\0\0"[..], &0_u64.to_le_bytes(), &20_000_u64.to_le_bytes()].concat();
    for key in 0..20_000_u32 {
        // three letters are the fewest that give so many different keys
        let name: Vec<u8> = (0..3).map(|digit| b'A' + (key / 32_u32.pow(digit) % 32) as u8).collect();
        file.extend([&3_u64.to_le_bytes()[..], &name, &0_u32.to_le_bytes(), &[0]].concat());
    }
    check_allocation(&file, || assert_eq!(GgufHeader::parse(&file).unwrap().metadata.len(), 20_000));
}

fn a_long_shape_stays_within_the_multiple() {
    let sizes = vec!["0"; 100_000].join(",");
    let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{sizes}],"data_offsets":[0,0]}}}}"#);
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    check_allocation(&file, || {
        assert_eq!(read_header(&file[..], file.len() as u64, 0).unwrap()[0].shape.len(), 100_000);
    });
}

fn check_allocation(file: &[u8], read: impl Fn()) {
    let region = Region::new(ALLOCATOR);
    read();
    let allocated = region.change().bytes_allocated;
    assert!(allocated <= MULTIPLE * file.len(), "{allocated} bytes allocated for {}", file.len());
}
