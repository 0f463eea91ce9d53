//! A pack that arrives, and its objects.

use std::fs;
use std::io::{BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::SyncSender;

use gix::objs::Kind as ObjectKind;
use sirocco::Format;
use sirocco::inflate::Decoder;

use super::KINDS;
use crate::floors::post;

pub(super) struct Remote<'a> {
    pub(super) port: u16,
    pub(super) repository: &'a str,
}

impl Remote<'_> {
    pub(super) fn head(&self) -> String {
        let mut answer = String::new();
        post(self.port, self.repository, "ls-refs", &["ref-prefix HEAD"])
            .read_to_string(&mut answer)
            .unwrap();
        answer[4..44].to_owned()
    }

    pub(super) fn pack(&self, arguments: &[&str]) -> Pack {
        let arguments = [&["ofs-delta", "no-progress", "deepen 1"], arguments, &["done"]].concat();
        let mut source = post(self.port, self.repository, "fetch", &arguments);
        while !packet(&mut source).ends_with(b"packfile\n") {}
        Pack { source, chunk: Vec::new(), used: 0, start: 0, crc32: crc32fast::Hasher::new(), to_disk: None }
    }
}

/// The content of the next packet line.
fn packet(source: &mut impl Read) -> Vec<u8> {
    let length = length(source);
    rest_of_packet(source, length.saturating_sub(4))
}

fn length(source: &mut impl Read) -> usize {
    let mut length = [0; 4];
    source.read_exact(&mut length).unwrap();
    usize::from_str_radix(str::from_utf8(&length).unwrap(), 16).unwrap()
}

fn rest_of_packet(source: &mut impl Read, length: usize) -> Vec<u8> {
    let mut rest = Vec::with_capacity(length);
    source.take(length as u64).read_to_end(&mut rest).unwrap();
    rest
}

/// The bytes of the pack in the next packet line, if there are any: what the server says is in others.
fn packet_of_pack(source: &mut impl Read) -> Option<Vec<u8>> {
    let (length, mut band) = (length(source), [0]);
    source.read_exact(&mut band).unwrap();
    let rest = rest_of_packet(source, length - 5);
    (band == [1]).then_some(rest)
}

/// A pack that arrives.
pub(super) struct Pack {
    source: BufReader<TcpStream>,
    chunk: Vec<u8>,
    used: usize,
    start: u64,
    pub(super) crc32: crc32fast::Hasher,
    pub(super) to_disk: Option<SyncSender<Vec<u8>>>,
}

impl Pack {
    pub(super) fn offset(&self) -> u64 {
        self.start + self.used as u64
    }

    fn available(&mut self) -> &[u8] {
        if self.used == self.chunk.len() {
            let mut packets = std::iter::repeat_with(|| packet_of_pack(&mut self.source)).flatten();
            // An empty one says that the server is still there.
            let next = packets.find(|bytes| !bytes.is_empty()).unwrap();
            self.start += self.used as u64;
            self.used = 0;
            self.hand_over(next);
        }
        &self.chunk[self.used..]
    }

    /// Give what is read to the thread that stores it.
    pub(super) fn hand_over(&mut self, next: Vec<u8>) {
        let last = std::mem::replace(&mut self.chunk, next);
        if let Some(to_disk) = &self.to_disk {
            to_disk.send(last).unwrap();
        }
    }

    fn advance(&mut self, amount: usize) {
        self.crc32.update(&self.chunk[self.used..self.used + amount]);
        self.used += amount;
    }

    pub(super) fn byte(&mut self) -> u8 {
        let byte = self.available()[0];
        self.advance(1);
        byte
    }

    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// The kind and the size of the next entry.
    pub(super) fn header(&mut self) -> (u8, usize) {
        self.crc32.reset();
        header(|| self.byte())
    }

    /// Inflate an object to a position of `out`, whose content behind it means nothing.
    pub(super) fn inflate_at(&mut self, decoder: &mut Decoder, out: &mut Vec<u8>, start: usize, size: usize) {
        let end = start + size + 64;
        if out.len() < end {
            out.resize(end, 0);
        }
        decoder.reset();
        loop {
            self.available();
            let step = decoder.decompress(&self.chunk[self.used..], &mut out[start..end], false).unwrap();
            let (done, consumed) = (step.done, step.consumed);
            self.advance(consumed);
            if done {
                return;
            }
        }
    }

    pub(super) fn inflate(&mut self, decoder: &mut Decoder, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        self.inflate_at(decoder, &mut out, 0, size);
        out.truncate(size);
        out
    }
}

/// An object of a pack on disk, stored whole or as a delta.
pub(super) fn inflate_at(pack: &fs::File, offset: u64) -> (ObjectKind, Vec<u8>) {
    let mut start = [0; 32];
    pack.read_at(&mut start, offset).unwrap();
    let mut rest = start.iter().copied();
    let mut next = || rest.next().unwrap();
    let (kind, size) = header(&mut next);
    let base = (kind == 6).then(|| offset - distance(&mut next));
    let content = inflate_from(pack, offset + (start.len() - rest.len()) as u64, size);
    match base.map(|base| inflate_at(pack, base)) {
        Some((kind, base)) => (kind, apply(&base, &content)),
        None => (KINDS[usize::from(kind) - 1], content),
    }
}

fn inflate_from(pack: &fs::File, mut at: u64, size: usize) -> Vec<u8> {
    let mut out = vec![0; size + 64];
    let (mut decoder, mut input) = (Decoder::new(Format::Zlib), vec![0; 64 * 1024]);
    loop {
        let read = pack.read_at(&mut input, at).unwrap();
        let step = decoder.decompress(&input[..read], &mut out, false).unwrap();
        at += step.consumed as u64;
        if step.done {
            out.truncate(size);
            return out;
        }
    }
}

/// The kind and the size of an entry.
fn header(mut next: impl FnMut() -> u8) -> (u8, usize) {
    let mut byte = next();
    let (kind, mut size, mut shift) = (byte >> 4 & 7, usize::from(byte & 15), 4);
    while byte & 0x80 != 0 {
        byte = next();
        size |= usize::from(byte & 0x7f) << shift;
        shift += 7;
    }
    (kind, size)
}

/// How far back the base of a delta is.
pub(super) fn distance(mut next: impl FnMut() -> u8) -> u64 {
    let mut byte = next();
    let mut distance = u64::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = next();
        distance = (distance + 1) << 7 | u64::from(byte & 0x7f);
    }
    distance
}

pub(super) fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
    let mut rest = delta.iter().copied();
    let mut size = || {
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = rest.next().unwrap();
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return size;
            }
        }
    };
    let (_, result) = (size(), size());
    let mut out = Vec::with_capacity(result);
    while let Some(command) = rest.next() {
        if command & 0x80 == 0 {
            out.extend(rest.by_ref().take(command.into()));
            continue;
        }
        let mut number = |bits: std::ops::Range<u8>| {
            let given = bits.clone().filter(|bit| command & 1 << bit != 0);
            given
                .fold(0, |number, bit| number | usize::from(rest.next().unwrap()) << (8 * (bit - bits.start)))
        };
        let (from, length) = (number(0..4), number(4..7));
        out.extend_from_slice(&base[from..from + if length == 0 { 0x10000 } else { length }]);
    }
    out
}
