//! What every engine that can be written does. What was written is read "eventually": a replica may answer.

use std::io::ErrorKind;

use sync_relay::engine::{LARGEST_TIP, Record, Revision, Swap};

use crate::support::{Pack, Place, eventually, interrupt};

type Behaviour = (&'static str, fn(&Place, &str));

const ALL: [Behaviour; 8] = [
    ("tips-are-swapped", tips_are_swapped),
    ("two-feeders-do-not-overwrite-each-other", feeders_do_not_overwrite_each_other),
    ("packs-come-back", packs_come_back),
    ("packs-are-listed-and-removed", packs_are_listed_and_removed),
    ("names-are-apart", names_are_apart),
    ("large-tips-are-refused", large_tips_are_refused),
    ("what-was-stored-unheard-counts", what_was_stored_unheard_counts),
    ("short-files-are-refused", short_files_are_refused),
];

pub fn check(place: &Place) {
    check_but_for(&[], place);
}

pub fn check_but_for(left_out: &[&str], place: &Place) {
    for (name, behaviour) in ALL.iter().filter(|(name, _)| !left_out.contains(name)) {
        println!("{name}");
        place.engine(name).prepare(&interrupt()).unwrap();
        behaviour(place, name);
    }
}

#[track_caller]
fn done(swap: std::io::Result<Swap>) -> Revision {
    match swap.unwrap() {
        Swap::Done(revision) => revision,
        Swap::Lost => panic!("the swap was lost"),
    }
}

/// The tip, once it is this one.
fn tip_of(place: &Place, name: &str, bytes: &[u8]) -> Record {
    eventually("the tip", || {
        let record = place.engine(name).tip(&interrupt()).unwrap();
        record.filter(|record| record.bytes == bytes)
    })
}

/// Write a tip, once the engine knows what it knew of the last write.
fn done_eventually(mut swap: impl FnMut() -> std::io::Result<Swap>) -> Revision {
    eventually("a swap", || match swap().unwrap() {
        Swap::Done(revision) => Some(revision),
        Swap::Lost => None,
    })
}

fn tips_are_swapped(place: &Place, name: &str) {
    let (mut engine, interrupt) = (place.engine(name), interrupt());
    assert_eq!(engine.tip(&interrupt).unwrap(), None);
    let first = done(engine.swap(b"one", None, &interrupt));
    assert_eq!(tip_of(place, name, b"one").revision, first);
    let second = done(engine.swap(b"two", Some(&first), &interrupt));
    assert_ne!(first, second);
    assert_eq!(engine.swap(b"three", Some(&first), &interrupt).unwrap(), Swap::Lost);
    assert_eq!(engine.swap(b"three", None, &interrupt).unwrap(), Swap::Lost);
    assert_eq!(tip_of(place, name, b"two").revision, second);
    assert!(engine.is_connected());
}

fn feeders_do_not_overwrite_each_other(place: &Place, name: &str) {
    const EACH: usize = 20;
    let work = |feeder: usize| {
        let (mut engine, interrupt) = (place.engine(name), interrupt());
        for number in 0..EACH {
            loop {
                let stored = engine.tip(&interrupt).unwrap();
                let mut bytes = stored.as_ref().map_or(Vec::new(), |record| record.bytes.clone());
                bytes.extend(format!("{feeder}:{number}\n").bytes());
                let expected = stored.as_ref().map(|record| &record.revision);
                if engine.swap(&bytes, expected, &interrupt).unwrap() != Swap::Lost {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| (0..3).for_each(|feeder| _ = scope.spawn(move || work(feeder))));
    let text = eventually("all writes", || {
        let record = place.engine(name).tip(&interrupt()).unwrap()?;
        let text = String::from_utf8(record.bytes).unwrap();
        (text.lines().count() == 3 * EACH).then_some(text)
    });
    for feeder in 0..3 {
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{feeder}:")));
        assert!(own.map(|line| line.parse::<usize>().unwrap()).eq(0..EACH), "{text}");
    }
}

fn packs_come_back(place: &Place, name: &str) {
    let mut engine = place.engine(name);
    for size in [0, 1, 100_000, 128 * 1024, 5_000_000] {
        let mut pack = Pack::of(size, 7);
        let missing = pack.get(engine.as_mut()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
        pack.put(engine.as_mut()).unwrap();
        pack.put(engine.as_mut()).unwrap();
        pack.assert_read(engine.as_mut());
        pack.assert_read(place.engine(name).as_mut());
    }
}

fn packs_are_listed_and_removed(place: &Place, name: &str) {
    let (mut engine, interrupt) = (place.engine(name), interrupt());
    assert_eq!(engine.packs(&interrupt).unwrap(), []);
    let mut packs: Vec<Pack> = (0..3).map(|seed| Pack::of(300_000, seed)).collect();
    packs.iter_mut().for_each(|pack| pack.put(engine.as_mut()).unwrap());
    packs.sort_by_key(|pack| pack.name);
    let names = packs.iter().map(|pack| pack.name).collect::<Vec<_>>();
    eventually("all packs", || {
        let mut listed = engine.packs(&interrupt).unwrap();
        listed.sort();
        (listed == names).then_some(())
    });
    engine.remove_pack(&packs[0].name, &interrupt).unwrap();
    engine.remove_pack(&packs[0].name, &interrupt).unwrap();
    let gone = eventually("a pack that is gone", || packs[0].get(engine.as_mut()).err());
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    packs[1].assert_read(engine.as_mut());
    eventually("two packs", || (engine.packs(&interrupt).unwrap().len() == 2).then_some(()));
    eventually("the pack again", || {
        packs[0].put(engine.as_mut()).unwrap();
        packs[0].get(engine.as_mut()).ok().filter(|bytes| *bytes == packs[0].bytes)
    });
}

fn names_are_apart(place: &Place, name: &str) {
    let other = format!("{name}-2");
    let (mut engine, mut second, interrupt) = (place.engine(name), place.engine(&other), interrupt());
    second.prepare(&interrupt).unwrap();
    done(engine.swap(b"one", None, &interrupt));
    assert_eq!(second.tip(&interrupt).unwrap(), None);
    let mut pack = Pack::of(1000, 1);
    pack.put(engine.as_mut()).unwrap();
    assert_eq!(second.packs(&interrupt).unwrap(), []);
    assert_eq!(pack.get(second.as_mut()).unwrap_err().kind(), ErrorKind::NotFound);
}

fn large_tips_are_refused(place: &Place, name: &str) {
    let (mut engine, interrupt) = (place.engine(name), interrupt());
    let largest = vec![b'x'; LARGEST_TIP];
    let revision = done(engine.swap(&largest, None, &interrupt));
    tip_of(place, name, &largest);
    let larger = vec![b'x'; LARGEST_TIP + 1];
    done(engine.swap(&larger, Some(&revision), &interrupt));
    let refused = eventually("a refusal", || place.engine(name).tip(&interrupt).err());
    assert_eq!(refused.kind(), ErrorKind::FileTooLarge, "{refused}");
}

fn what_was_stored_unheard_counts(place: &Place, name: &str) {
    let (mut engine, interrupt) = (place.engine(name), interrupt());
    let first = done(engine.swap(b"one", None, &interrupt));
    assert_eq!(done_eventually(|| engine.swap(b"one", None, &interrupt)), first);
    let second = done(engine.swap(b"two", Some(&first), &interrupt));
    assert_eq!(done_eventually(|| engine.swap(b"two", Some(&first), &interrupt)), second);
}

fn short_files_are_refused(place: &Place, name: &str) {
    let (mut engine, mut pack) = (place.engine(name), Pack::of(200_000, 3));
    let short = engine.put_pack(&pack.name, 200_001, &mut pack.file, &interrupt());
    assert!(short.is_err());
    assert_eq!(engine.packs(&interrupt()).unwrap(), []);
    assert_eq!(pack.get(engine.as_mut()).unwrap_err().kind(), ErrorKind::NotFound);
}
