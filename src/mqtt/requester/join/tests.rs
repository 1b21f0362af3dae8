use super::*;

const ROOM: usize = 10_000;

fn picture(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|byte| (byte * 7 % 251) as u8).collect()
}

fn plan(bytes: &[u8], part_bytes: usize) -> Plan {
    let parts = bytes.len().div_ceil(part_bytes) as u32;
    Plan::new(bytes.len(), part_bytes, parts, &hex(&Sha256::digest(bytes))).unwrap()
}

fn part(bytes: &[u8], part_bytes: usize, i: u32) -> &[u8] {
    bytes.chunks(part_bytes).nth(i as usize).unwrap()
}

#[test]
fn parts_in_any_order_before_and_after_their_plan_make_the_picture() {
    let bytes = picture(1005);
    let mut joiner = Joiner::default();
    assert_eq!(joiner.part(10, part(&bytes, 100, 10), ROOM), Taken::Early);
    assert_eq!(joiner.part(3, part(&bytes, 100, 3), ROOM), Taken::Early);
    assert!(joiner.announce(plan(&bytes, 100), ROOM));
    assert_eq!(joiner.missing(), [(0, 2), (4, 9)]);
    assert_eq!(joiner.part(3, part(&bytes, 100, 3), ROOM), Taken::Known);
    for i in [9, 0, 8, 1, 7, 2, 6, 4] {
        assert_eq!(joiner.part(i, part(&bytes, 100, i), ROOM), Taken::New);
        assert_eq!(joiner.picture(), None);
    }
    assert_eq!((joiner.missing(), joiner.count()), (vec![(5, 5)], (10, 11)));
    assert_eq!(joiner.part(5, part(&bytes, 100, 5), ROOM), Taken::Complete);
    assert_eq!(joiner.picture(), Some(bytes.as_slice()));
}

#[test]
fn a_part_of_a_wrong_size_or_number_stays_missing() {
    let bytes = picture(250);
    let mut joiner = Joiner::default();
    joiner.announce(plan(&bytes, 100), ROOM);
    for (i, size) in [(0, 99), (0, 101), (2, 100), (3, 50), (u32::MAX, 100), (1, 0)] {
        assert_eq!(joiner.part(i, &picture(size), ROOM), Taken::Misfit, "part {i} of {size} bytes");
    }
    assert_eq!(joiner.missing(), [(0, 2)]);
}

#[test]
fn a_damaged_part_makes_all_parts_missing_again() {
    let bytes = picture(200);
    let mut joiner = Joiner::default();
    joiner.announce(plan(&bytes, 100), ROOM);
    joiner.part(0, &[0; 100], ROOM);
    assert_eq!(joiner.part(1, part(&bytes, 100, 1), ROOM), Taken::Damaged);
    assert_eq!((joiner.picture(), joiner.missing()), (None, vec![(0, 1)]));
    joiner.part(0, part(&bytes, 100, 0), ROOM);
    assert_eq!(joiner.part(1, part(&bytes, 100, 1), ROOM), Taken::Complete);
}

#[test]
fn another_size_of_parts_means_to_start_again_unless_the_picture_is_whole() {
    let bytes = picture(200);
    let mut joiner = Joiner::default();
    joiner.announce(plan(&bytes, 100), ROOM);
    joiner.part(0, part(&bytes, 100, 0), ROOM);
    assert!(joiner.announce(plan(&bytes, 50), ROOM));
    assert_eq!(joiner.missing(), [(0, 3)]);
    for i in 0..4 {
        joiner.part(i, part(&bytes, 50, i), ROOM);
    }
    assert!(joiner.announce(plan(&bytes, 100), ROOM));
    assert_eq!(joiner.picture(), Some(bytes.as_slice()));
}

#[test]
fn neither_plans_nor_early_parts_take_more_than_their_room() {
    let bytes = picture(1000);
    let mut joiner = Joiner::default();
    assert!(!joiner.announce(plan(&bytes, 1), 1999));
    assert_eq!(joiner.part(0, &[1; 600], 1000), Taken::Early);
    assert_eq!(joiner.part(1, &[1; 600], 1000), Taken::TooMuch);
    // A part that came again takes no more room than before.
    assert_eq!(joiner.part(0, &[1; 600], 1000), Taken::Early);
    let mut tiny = Joiner::default();
    let kept = (0..1000).filter(|i| tiny.part(*i, &[], 1000) == Taken::Early).count();
    assert_eq!(kept, 1000 / EARLY_COST);
    assert!(tiny.announce(plan(&bytes, 1), 2000));
    assert_eq!(tiny.held(), 2000);
}

#[test]
fn a_plan_that_contradicts_itself_is_none() {
    assert!(Plan::new(100, 10, 10, "00").is_ok());
    for (bytes, part_bytes, parts) in [(100, 10, 11), (101, 10, 10), (0, 10, 0), (10, 0, 1), (usize::MAX, 1, 5)] {
        assert!(Plan::new(bytes, part_bytes, parts, "00").is_err(), "{bytes} {part_bytes} {parts}");
    }
    assert_eq!(Plan::of(&serde_json::json!({"bytes": 5})), Err(PlanError::Incomplete));
}

/// Numbers that look random, the same in every run.
fn noise(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn whatever_comes_only_the_right_picture_comes_out_and_memory_stays_in_bounds() {
    let (bytes, sizes) = (picture(300), [7, 50, 100, 300]);
    let (mut state, mut whole, mut damaged) = (1, 0, 0);
    for _ in 0..500 {
        let mut joiner = Joiner::default();
        for _ in 0..200 {
            let size = sizes[noise(&mut state) % 4];
            let i = noise(&mut state) % (300usize.div_ceil(size) + 2);
            let mut part = bytes.chunks(size).nth(i).unwrap_or(&[1, 2, 3]).to_vec();
            match noise(&mut state) % 20 {
                0 => assert!(joiner.announce(plan(&bytes, size), 400)),
                1 => part.push(0),
                2..5 => part[0] ^= 1,
                _ => {}
            }
            damaged += u32::from(joiner.part(i as u32, &part, 400) == Taken::Damaged);
            assert!(joiner.held() <= 400);
            assert!(joiner.picture().is_none_or(|joined| joined == bytes));
        }
        whole += u32::from(joiner.picture().is_some());
    }
    // The trial is no trial unless both happen.
    assert!(whole > 50 && damaged > 50, "{whole} whole, {damaged} damaged");
}
