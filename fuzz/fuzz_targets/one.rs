//! One target, by the variable `TARGET`, in libFuzzer's hands. Started by scripts/fuzz.
#![no_main]

use std::sync::LazyLock;

static RUN: LazyLock<fn(&[u8])> =
    LazyLock::new(|| syncline_fuzz::target(&std::env::var("TARGET").unwrap_or_default()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUN(data));
