//! One target, by the variable `TARGET`, in libFuzzer's hands. Started by scripts/fuzz.
#![no_main]

use std::sync::LazyLock;

static RUN: LazyLock<syncline_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    syncline_fuzz::target(&name, syncline_fuzz::git_is_wanted())
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| RUN(data));
