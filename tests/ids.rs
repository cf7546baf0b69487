//! Job ids: one text for each id, and one id for each text.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

use proptest::prelude::*;
use raincheck::job::{
    IdKey, JobId, PARTITION_MAX, ROW_KEY_MAX, RowKey, SEQUENCE_MAX, Secret, TEXT_LEN,
};

fn ids() -> impl Strategy<Value = JobId> {
    (any::<u16>(), 0..=ROW_KEY_MAX, any::<[u8; 16]>()).prop_map(|(shard, key, random)| JobId {
        shard,
        key: RowKey(key),
        secret: Secret::from_bytes(random),
    })
}

fn example() -> JobId {
    JobId {
        shard: 0x0102,
        key: RowKey(0x0304_0506_0708),
        secret: Secret::from_bytes([0xa5; 16]),
    }
}

#[test]
fn the_text_of_an_id_is_pinned() {
    let text = example().to_string();
    assert_eq!(text, "jAQIDBAUGBwilpaWlpaWFpaWlpaWlpaWl");
    assert_eq!(JobId::parse(&text), Some(example()));
}

#[test]
fn an_id_has_only_characters_that_need_no_escape_in_a_url_and_no_dot() {
    let text = example().to_string();
    assert_eq!(text.len(), TEXT_LEN);
    assert!(text.starts_with('j'));
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
}

#[test]
fn the_largest_row_key_fills_its_six_bytes() {
    let id = JobId {
        key: RowKey(ROW_KEY_MAX),
        ..example()
    };
    assert!(id.to_string().starts_with("jAQL_______"), "{id}");
    assert_eq!(JobId::parse(&id.to_string()), Some(id));
}

#[test]
fn near_misses_are_not_ids() {
    let text = example().to_string();
    let misses = [
        String::new(),
        "j".to_owned(),
        text[1..].to_owned(),
        format!("{text}="),
        format!("{text} "),
        format!(" {text}"),
        format!("{text}A"),
        text[..TEXT_LEN - 1].to_owned(),
        format!("J{}", &text[1..]),
        format!("{}+", &text[..TEXT_LEN - 1]),
        format!("{}/", &text[..TEXT_LEN - 1]),
        format!("{}%", &text[..TEXT_LEN - 1]),
        format!("{}\0", &text[..TEXT_LEN - 1]),
        format!("{}é", &text[..TEXT_LEN - 2]),
        format!("é{}", &text[2..]),
    ];
    for miss in misses {
        assert_eq!(JobId::parse(&miss), None, "{miss:?}");
    }
}

#[test]
fn an_id_whose_secret_has_another_uuid_version_is_invalid() {
    let mut id = example();
    id.secret = Secret(uuid::Uuid::from_bytes([0x11; 16]));
    assert_eq!(JobId::parse(&id.to_string()), None);
}

#[test]
fn a_secret_never_shows_in_debug_output() {
    let id = example();
    let debug = format!("{id:?}");
    assert!(!debug.contains("a5a5") && !debug.contains("165"), "{debug}");
    assert!(debug.contains("Secret(…)"), "{debug}");
}

#[test]
fn at_least_120_bits_of_a_secret_cannot_be_guessed() {
    let fixed = Secret::from_bytes([0; 16]).0.as_u128();
    let free = Secret::from_bytes([0xff; 16]).0.as_u128() ^ fixed;
    assert_eq!(free.count_ones(), 122);
}

const ID_KEY: IdKey = IdKey([7; 32]);

/// An id must stay genuine as long as its job is kept.
#[test]
fn the_mac_of_an_id_is_pinned() {
    let row = RowKey(0x0304_0506_0708);
    let secret = Secret::seal(&ID_KEY, 0x0102, row, [0xa5; 8]);
    assert_eq!(secret.0.to_string(), "a5a5a5a5-a5a5-85a5-90ed-47c336e6a11d");
    assert!(secret.is_sealed(&ID_KEY, 0x0102, row));
}

#[test]
fn a_row_key_is_the_number_of_a_partition_and_that_of_a_row() {
    let key = RowKey::new(3, 5);
    assert_eq!((key.partition(), key.sequence()), (3, 5));
    assert_eq!(key, RowKey((3 << 22) + 5));
    let last = RowKey::new(PARTITION_MAX, SEQUENCE_MAX);
    assert_eq!(last, RowKey(ROW_KEY_MAX));
    assert_eq!(RowKey::first_of(3), RowKey::new(3, 1));
    assert_eq!(RowKey(u64::MAX).partition(), u32::MAX, "no partition");
}

#[test]
fn the_key_of_ids_never_shows_in_debug_output() {
    assert_eq!(format!("{ID_KEY:?}"), "IdKey(…)");
}

proptest! {
    #[test]
    fn every_id_comes_back_from_its_text(id in ids()) {
        let text = id.to_string();
        prop_assert_eq!(text.len(), TEXT_LEN);
        prop_assert_eq!(JobId::parse(&text), Some(id));
    }

    #[test]
    fn a_secret_is_genuine_for_its_own_key_shard_and_row_only(
        id in ids(), random in any::<[u8; 8]>(), bit in 0..128_u32, key in 0..32_usize
    ) {
        let secret = Secret::seal(&ID_KEY, id.shard, id.key, random);
        prop_assert!(secret.is_sealed(&ID_KEY, id.shard, id.key));
        prop_assert!(!secret.is_sealed(&ID_KEY, id.shard ^ 1, id.key));
        prop_assert!(!secret.is_sealed(&ID_KEY, id.shard, RowKey(id.key.0 ^ 1)));
        let mut other_key = ID_KEY;
        other_key.0[key] ^= 1;
        prop_assert!(!secret.is_sealed(&other_key, id.shard, id.key));
        let other = Secret(uuid::Uuid::from_u128(secret.0.as_u128() ^ (1 << bit)));
        prop_assert!(!other.is_sealed(&ID_KEY, id.shard, id.key));
    }

    #[test]
    fn a_parsed_record_is_written_back_unchanged(text in "j[A-Za-z0-9_-]{32}") {
        if let Some(id) = JobId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn one_changed_character_makes_another_id_or_none(
        id in ids(), place in 1..TEXT_LEN, to in "[A-Za-z0-9_-]"
    ) {
        let text = id.to_string();
        let mut changed = text.clone();
        changed.replace_range(place..=place, &to);
        if changed != text {
            prop_assert_ne!(JobId::parse(&changed), Some(id));
        }
    }

    #[test]
    fn garbage_is_refused_and_never_panics(text in ".{0,80}") {
        prop_assert!(JobId::parse(&text).is_none_or(|id| id.to_string() == text));
    }

    #[test]
    fn a_secret_matches_its_own_bytes_and_nothing_else(
        random in any::<[u8; 16]>(), other in prop::collection::vec(any::<u8>(), 0..20)
    ) {
        let secret = Secret::from_bytes(random);
        prop_assert!(secret.matches(secret.0.as_bytes()));
        prop_assert_eq!(secret.matches(&other), other.as_slice() == secret.0.as_bytes());
    }
}
