//! Objects of packs that git would never write, read with so little memory that most of them count as large.

use gix::hash::Kind as HashKind;

use super::*;
use crate::fs_ext::entries;
use crate::index_pack::tests::Pack as Made;
use crate::interrupt::Interrupt;
use crate::objects::deflate::Deflater;
use crate::progress::Progress;
use crate::repack::{copy_objects, repack};
use crate::store::Store;

/// Objects of more than 16 KiB are large.
const LITTLE: Resources = Resources { threads: 2, memory: Some(1 << 20) };

struct Kept {
    store: Store,
    _dir: tempfile::TempDir,
}

impl Kept {
    fn new(packs: &[&Made]) -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), LITTLE).unwrap();
        store.prepare(HashKind::Sha1, None).unwrap();
        let kept = Kept { store, _dir: dir };
        packs.iter().for_each(|pack| _ = kept.take(pack, None).unwrap());
        kept
    }

    fn take(&self, pack: &Made, bases: Option<&Objects>) -> Result<Option<PathBuf>, String> {
        let (progress, interrupt, bytes) = (Progress::new(), Interrupt::new(), pack.bytes());
        let taken = self.store.pack_receiver(&progress, &interrupt).take(&mut &bytes[..], bases);
        taken.map(|taken| taken.pack).map_err(|err| err.to_string())
    }

    fn objects(&self) -> Objects {
        self.store.objects(&self.store.repository().unwrap()).unwrap()
    }

    /// Copy objects of another store into a pack of this one.
    fn copy(&self, from: &Objects, ids: &[ObjectId]) {
        let (progress, interrupt) = (Progress::new(), Interrupt::new());
        let pack_receiver = self.store.pack_receiver(&progress, &interrupt);
        copy_objects(from, ids, &pack_receiver, Path::new("there")).unwrap();
    }

    /// Copy objects of another store into a pack of this one, as they are.
    fn repack(&self, from: &Objects, ids: &[ObjectId]) -> io::Result<Option<PathBuf>> {
        let (progress, interrupt) = (Progress::new(), Interrupt::new());
        repack(from, ids.to_vec(), &self.store.pack_dir(), (&progress, &interrupt))
    }

    fn packs(&self) -> Vec<PathBuf> {
        let mut names: Vec<_> =
            entries(&self.store.pack_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| path.extension() != Some("idx".as_ref()));
        names
    }
}

pub(crate) fn read(objects: &Objects, id: ObjectId) -> Vec<u8> {
    let mut found = Vec::new();
    let taken = objects.pieces(&id, &mut |piece| {
        assert!(piece.len() <= 256 << 10, "{} bytes at once", piece.len());
        found.extend_from_slice(piece);
        Ok(())
    });
    taken.unwrap();
    let mut whole = Vec::new();
    assert!(objects.find(&id, &mut whole).unwrap().data == found, "held or in pieces, it is the same");
    found
}

fn header(objects: &Objects, id: ObjectId) -> (Kind, usize) {
    let header = gix::objs::FindHeader::try_header(&objects.headers(), &id).unwrap().unwrap();
    (header.kind, header.size as usize)
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Add delta chains of objects of all sizes. Returns the objects and their content.
pub(crate) fn chain(pack: &mut Made) -> Vec<(ObjectId, Vec<u8>)> {
    let mut made = Vec::new();
    for size in [100, 10_000, 600_000] {
        let mut content = noise(size);
        let mut id = pack.add(Kind::Blob, &content);
        made.push((id, content.clone()));
        for number in 0..4 {
            // All but the last bytes of the base, something new, and all of the base.
            let mut delta = Made::delta_header(content.len(), 2 * content.len());
            delta.extend(Made::copy(0, content.len() - 5));
            delta.extend([5, b'n', b'e', b'w', b'0' + number, b'\n']);
            delta.extend(Made::copy(0, content.len()));
            content = [&content[..content.len() - 5], b"new", &[b'0' + number, b'\n'], &content].concat();
            pack.delta(id, &delta);
            id = gix::objs::compute_hash(HashKind::Sha1, Kind::Blob, &content).unwrap();
            made.push((id, content.clone()));
        }
    }
    made
}

#[test]
fn large_objects_and_those_made_from_them_come_in_pieces() {
    let mut pack = Made::default();
    let made = chain(&mut pack);
    let kept = Kept::new(&[&pack]);
    let objects = kept.objects();
    // Forwards; and backwards, when no cached base is of use.
    for (id, content) in made.iter().chain(made.iter().rev()) {
        assert!(read(&objects, *id) == *content, "{} bytes", content.len());
        let (kind, held) = objects.content(id).unwrap().unwrap();
        assert_eq!((kind, held.len()), (Kind::Blob, content.len() as u64));
        assert!(held.held() <= 16 << 10, "{} bytes are held", held.held());
        assert_eq!(header(&objects, *id), (Kind::Blob, content.len()));
    }
    assert_eq!(kept.packs().len(), 1, "no temporary file is left");
}

/// Write a loose object.
fn loosen(kept: &Kept, content: &[u8]) -> ObjectId {
    let id = gix::objs::compute_hash(HashKind::Sha1, Kind::Blob, content).unwrap();
    let name = id.to_string();
    let dir = kept.store.git_dir().join("objects").join(&name[..2]);
    let (mut deflater, mut bytes) = (Deflater::new(), Vec::new());
    deflater.add(format!("blob {}\0", content.len()).as_bytes(), &mut bytes).unwrap();
    deflater.add(content, &mut bytes).unwrap();
    deflater.finish(&mut bytes).unwrap();
    fs_err::create_dir_all(&dir).unwrap();
    fs_err::write(dir.join(&name[2..]), bytes).unwrap();
    id
}

/// They are not held while they are received, but read as a whole.
#[test]
fn large_trees_are_stored_as_well() {
    let mut pack = Made::default();
    let body = noise(600_000);
    let ids = [Kind::Tree, Kind::Commit, Kind::Tag].map(|kind| (pack.add(kind, &body), kind));
    let kept = Kept::new(&[&pack]);
    let objects = kept.objects();
    for (id, kind) in ids {
        let mut found = Vec::new();
        let found = objects.find(&id, &mut found).unwrap();
        assert!(found.kind == kind && found.data == body, "{kind}");
    }
}

#[test]
fn loose_objects_come_in_pieces_too() {
    let kept = Kept::new(&[]);
    for size in [0, 1000, 16 << 10, (16 << 10) + 1, 600_000] {
        let content = noise(size);
        let id = loosen(&kept, &content);
        let objects = kept.objects();
        assert!(read(&objects, id) == content, "{size}");
        assert_eq!(header(&objects, id), (Kind::Blob, size));
        let copied = Kept::new(&[]);
        copied.copy(&objects, &[id]);
        assert!(read(&copied.objects(), id) == content, "{size}");
    }
}

#[test]
fn copies_are_whole_whatever_comes_along() {
    let (mut pack, mut other) = (Made::default(), Made::default());
    let made = chain(&mut pack);
    let more = other.add(Kind::Tag, b"not the same pack");
    let kept = Kept::new(&[&pack, &other]);
    let (first, second, third) = ([0, 1, 4], [5, 7, 9], [14, 12]);
    for chosen in [&(0..made.len()).collect::<Vec<_>>()[..], &first, &second, &third, &[]] {
        let empty = ObjectId::empty_tree(HashKind::Sha1);
        let ids: Vec<ObjectId> = chosen.iter().map(|at| made[*at].0).chain([more, empty]).collect();
        let (hashed, unhashed) = (Kept::new(&[]), Kept::new(&[]));
        hashed.copy(&kept.objects(), &ids);
        unhashed.repack(&kept.objects(), &ids).unwrap();
        for copied in [hashed, unhashed] {
            let objects = copied.objects();
            assert_eq!(objects.packs[0].index.num_objects() as usize, ids.len(), "{chosen:?}");
            for at in chosen {
                assert!(read(&objects, made[*at].0) == made[*at].1, "{at} of {chosen:?}");
            }
            assert_eq!(read(&objects, more), b"not the same pack");
            assert_eq!(copied.packs().len(), 1);
            let repo = copied.store.repository().unwrap();
            assert!(ids.iter().all(|id| repo.has_object(id)), "gix reads the index, too");
            let pack = gix_pack::Bundle::at(&copied.packs()[0], HashKind::Sha1).unwrap();
            let (mut progress, flag) = (gix::progress::Discard, Default::default());
            pack.index.verify_checksum(&mut progress, &flag).unwrap();
            pack.pack.verify_checksum(&mut progress, &flag).unwrap();
        }
    }
}

#[test]
fn headers_longer_than_they_need_be_do_no_harm() {
    let mut pack = Made::default();
    pack.has_long_headers = true;
    let made = chain(&mut pack);
    let kept = Kept::new(&[&pack]);
    let ids: Vec<ObjectId> = made.iter().map(|(id, _)| *id).collect();
    let (hashed, unhashed) = (Kept::new(&[]), Kept::new(&[]));
    hashed.copy(&kept.objects(), &ids);
    unhashed.repack(&kept.objects(), &ids).unwrap();
    for kept in [kept, hashed, unhashed] {
        let objects = kept.objects();
        assert!(made.iter().all(|(id, content)| read(&objects, *id) == *content));
    }
}

#[test]
fn a_pack_gets_what_its_deltas_start_from() {
    let mut pack = Made::default();
    let made = chain(&mut pack);
    let kept = Kept::new(&[&pack]);
    for at in [0, 4, 9, 14] {
        let (base, content) = &made[at];
        let mut thin = Made::default();
        let mut expected = content.clone();
        let mut id = *base;
        // The second is a delta to the first, and comes before it.
        let mut deltas = Vec::new();
        for number in [b'1', b'2'] {
            let mut delta = Made::delta_header(expected.len(), expected.len() + 1);
            delta.extend(Made::copy(0, expected.len()));
            delta.extend([1, number]);
            deltas.push((id, delta));
            expected.push(number);
            id = gix::objs::compute_hash(HashKind::Sha1, Kind::Blob, &expected).unwrap();
        }
        deltas.into_iter().rev().for_each(|(base, delta)| thin.delta(base, &delta));
        assert_eq!(kept.take(&thin, None).unwrap_err(), "the pack is damaged: a delta has no base");

        let elsewhere = Kept::new(&[]);
        elsewhere.take(&thin, Some(&kept.objects())).unwrap();
        let objects = elsewhere.objects();
        assert!(read(&objects, *base) == *content, "it can be read without the other pack");
        assert!(read(&objects, id) == expected, "{at}");
        assert_eq!(objects.packs[0].index.num_objects(), 3);
        assert_eq!(elsewhere.packs().len(), 1);
    }
}

/// Objects that are copied as they are, are not hashed: the checksums in the index tell.
#[test]
fn a_repack_refuses_a_pack_that_was_altered_or_cut() {
    let mut pack = Made::default();
    let made = chain(&mut pack);
    let kept = Kept::new(&[&pack]);
    let ids: Vec<ObjectId> = made.iter().map(|(id, _)| *id).collect();
    let path = kept.packs().remove(0);
    let bytes = fs_err::read(&path).unwrap();
    // In an object that is stored whole, in the header of an entry, and in a delta.
    let end = bytes.len() - 21;
    for at in [20, 12, bytes.len() / 2, end] {
        let mut altered = bytes.clone();
        altered[at] ^= 0x20;
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, &altered).unwrap();
        let copied = Kept::new(&[]);
        let fault = copied.repack(&kept.objects(), &ids).unwrap_err();
        assert!(is_damage(&fault), "{at}: {fault}");
        assert!(copied.packs().is_empty(), "{at}: {:?}", copied.packs());
    }
    for length in [0, 12, 30, bytes.len() / 2, bytes.len() - 30, bytes.len() - 21] {
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, &bytes[..length]).unwrap();
        let copied = Kept::new(&[]);
        let fault = copied.repack(&kept.objects(), &ids).unwrap_err();
        assert!(is_damage(&fault), "{length} bytes: {fault}");
        assert!(copied.packs().is_empty(), "{length} bytes: {:?}", copied.packs());
    }
}

#[test]
fn damage_is_told_from_other_trouble() {
    let mut pack = Made::default();
    let made = chain(&mut pack);
    let kept = Kept::new(&[&pack]);
    let path = kept.packs().remove(0);
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, bytes).unwrap();
    let (id, _) = made.last().unwrap();
    let fault = kept.objects().pieces(id, &mut |_| Ok(())).unwrap_err();
    assert!(is_damage(fault.downcast_any_ref::<io::Error>().unwrap()), "{fault}");
    let full =
        kept.objects().pieces(&made[0].0, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
    assert!(!is_damage(full.downcast_any_ref::<io::Error>().unwrap()), "{full}");
}
