//! What random changes are made of: names, contents, attributes, patterns.

use fastrand::Rng;

use crate::support::lfs::pointer;
use crate::support::noise;

const NAMES: &[&[u8]] = &[
    b"a",
    b"b",
    b"dir",
    b"sub",
    b"deep",
    b"Dir",
    b"sp ace",
    b"-dash",
    b"--",
    b"new\nline",
    b"tab\tstop",
    b"quo\"te",
    b"back\\slash",
    b"na\xc3\xafve",
    b"nai\xcc\x88ve",
    // git does not read a `.gitmodules` with 0xff.
    b"\xe4\xfe",
    b"*star",
    b"[ab]",
    b"#hash",
    b"!bang",
    b"trailing ",
    b"trailing.",
    b"...",
    b".hidden",
    b"co:lon",
    b"con",
    b"git",
    b"\xf0\x9f\x8c\xb3",
    &[b'l'; 200],
    &[b'L'; 250],
];
const ENDINGS: &[&str] = &["", "", ".txt", ".txt", ".id", ".enc", ".bin", ".sh", ".mod"];

/// A path of a few parts; few enough names that paths clash often.
pub fn path(rng: &mut Rng) -> Vec<u8> {
    let mut path = Vec::new();
    for _ in 0..rng.usize(0..4) {
        path.extend_from_slice(name(rng));
        path.push(b'/');
    }
    path.extend_from_slice(name(rng));
    let ending = choice(rng, ENDINGS);
    if path.rsplit(|byte| *byte == b'/').next().unwrap().len() + ending.len() <= 255 {
        path.extend_from_slice(ending.as_bytes());
    }
    path
}

/// Plain names come more often than odd ones.
fn name(rng: &mut Rng) -> &'static [u8] {
    let among = if rng.bool() { 5 } else { NAMES.len() };
    NAMES[rng.usize(..among)]
}

const PIECES: &[&[u8]] = &[
    b"one\ntwo\n",
    b"three\r\nfour\r\n",
    b"\n",
    b"\r",
    b"\r\r\n",
    b"no end",
    b"\0",
    b"\x1a",
    b"\x01\x02\x03",
    b"\x7f\x08\x0c\x1b",
    b"$Id$",
    b"$Id: old $",
    b"$Id: a b c $",
    b"$Id:\n$",
    b"$Id: $Id$ \r\n",
    b"$Identity$",
    "gr\u{fc}\u{df}e \u{20ac} \u{1f333}\n".as_bytes(),
    b"\xef\xbb\xbfmark",
    b"\xff\xfea\0",
    b"latin \xe4\xf6\n",
    b"* text eol=crlf\n",
];

pub fn content(rng: &mut Rng) -> Vec<u8> {
    match rng.u32(..200) {
        0..20 => Vec::new(),
        20..50 => noise(rng.u64(1..), rng.usize(1..5000)),
        50 => noise(rng.u64(1..), rng.usize(60_000..200_000)),
        51 => b"a long line of text\r\n".repeat(rng.usize(1000..70_000)),
        52..60 => PIECES[..2][rng.usize(..2)].repeat(rng.usize(1..400)),
        _ => pieces(rng),
    }
}

pub fn pieces(rng: &mut Rng) -> Vec<u8> {
    (0..rng.usize(1..6)).flat_map(|_| choice(rng, PIECES).iter().copied()).collect()
}

const PATTERNS: &[&str] = &[
    "*",
    "*",
    "*",
    "*.txt",
    "*.txt",
    "*.id",
    "*.enc",
    "/*.txt",
    "a",
    "/a",
    "a/*",
    "a/**",
    "**/b",
    "dir/",
    "[a-d]*",
    "\"sp ace*\"",
    "sub/*.txt",
    "*.t?t",
    "deep/**/a",
    "\\#hash",
    "!*.txt",
    "# *.id",
    "nothing",
];
const ATTRIBUTES: &[&str] = &[
    "text",
    "text",
    "-text",
    "!text",
    "text=auto",
    "text=auto",
    "eol=lf",
    "eol=crlf",
    "eol=crlf",
    "!eol",
    "-eol",
    "crlf",
    "-crlf",
    "crlf=input",
    "ident",
    "ident",
    "-ident",
    "!ident",
    "binary",
    "filter=unknown",
    "-filter",
    "diff=x",
    "export-ignore",
    "export-subst",
    "working-tree-encoding=UTF-16",
    "working-tree-encoding=UTF-16LE",
    "working-tree-encoding=utf16be",
    "working-tree-encoding=UTF-16LE-BOM",
    "working-tree-encoding=UTF-32",
    "working-tree-encoding=UTF-8",
    "working-tree-encoding=ISO-8859-1",
    "!working-tree-encoding",
    "macro",
    "-macro",
];

pub fn attributes(rng: &mut Rng) -> Vec<u8> {
    let mut text =
        String::from(choice(rng, &["", "", "\u{feff}", "\n", "[attr]macro text eol=crlf ident\n"]));
    for _ in 0..rng.usize(0..5) {
        text.push_str(choice(rng, PATTERNS));
        for _ in 0..rng.usize(1..4) {
            text.push_str(choice(rng, &[" ", "  ", "\t"]));
            text.push_str(choice(rng, ATTRIBUTES));
        }
        text.push_str(choice(rng, &["\n", "\n", "\n", "\r\n"]));
    }
    // git reads this one as it finds it.
    text.push_str(".gitmodules !working-tree-encoding\n");
    text.into()
}

/// Attributes by which files are such of Git LFS, or are no more.
pub fn lfs_attributes(rng: &mut Rng) -> Vec<u8> {
    let mut text = attributes(rng);
    for _ in 0..rng.usize(1..4) {
        text.extend_from_slice(choice(rng, LFS_ATTRIBUTES).as_bytes());
    }
    text
}

const LFS_ATTRIBUTES: &[&str] = &[
    "*.lfs filter=lfs diff=lfs merge=lfs -text\n",
    "*.lfs filter=lfs diff=lfs merge=lfs -text\n",
    "*.lfs filter=lfs\n",
    "*.txt filter=lfs -text\n",
    "* filter=lfs\n",
    "*.lfs -filter\n",
    "*.lfs !filter\n",
    "*.lfs filter=other\n",
    "dir/** filter=lfs -text\n",
    "*.lfs filter=lfs text eol=crlf\n",
    "*.lfs filter=lfs ident\n",
    "sub/*.lfs -filter\n",
];

/// Contents of Git LFS, of all sizes.
pub fn lfs_contents() -> Vec<Vec<u8>> {
    let sizes = [0, 1, 10, 100, 1000, 1023, 1024, 5000, 70_000, 200_000];
    let noisy = sizes.into_iter().zip(1..).map(|(size, seed)| noise(seed, size));
    let texts = (0..10).map(|number| format!("content {number} $Id$\r\nof\nlines\n").into_bytes());
    // One that is itself a pointer.
    noisy.chain(texts).chain([pointer("content").into_bytes()]).collect()
}

const TARGETS: &[&[u8]] = &[
    b"a",
    b"dir",
    b"../a",
    b"sub/deep",
    b"nowhere",
    b"/etc",
    b"/etc/passwd",
    b"../../../..",
    b".",
    b"..",
    b".git",
    b"\xff\xfe",
    b"new\nline",
    b"trailing\n",
    b"* text eol=crlf",
    &[b't'; 2000],
];

pub fn target(rng: &mut Rng) -> &'static [u8] {
    choice(rng, TARGETS)
}

const SPARSE: &[&str] = &[
    "/*\n",
    "/*\n!/*/\n",
    "/*\n!/*/\n/dir/\n",
    "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n/sub/\n",
    "/*\n!/*/\n/sp ace/\n",
    "*.txt\n",
    "/*\n!*.txt\n",
    "dir/\n!sub/\n",
    "/*\n!/a\n!b/\n",
    "a/**\n!a/b/**\n",
    "[a-d]*\n!deep\n",
    "# nothing\n\n",
    "/*\n!.gitattributes\n",
    "/a/\r\n/b/\r\n",
];

/// What a sparse patterns file may hold, in cone mode's shape and not.
pub fn patterns(rng: &mut Rng) -> &'static str {
    choice(rng, SPARSE)
}

pub fn choice<'a, T: ?Sized>(rng: &mut Rng, among: &'a [&'a T]) -> &'a T {
    among[rng.usize(..among.len())]
}
