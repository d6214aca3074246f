//! How much work an answer costs, which one cannot see from outside.

use std::sync::atomic::Ordering;

use super::*;

const CHEAPER: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const BCRYPT_04: &str = "$2b$04$NHRzjjc0UCleAVuFokHEn.sMIsmd3ogFHp.lEXVcKFugtvXEPtgJ6";
const BCRYPT_05: &str = "$2b$05$NHRzjjc0UCleAVuFokHEn.sMIsmd3ogFHp.lEXVcKFugtvXEPtgJ6";

/// 1024 KiB, 3 times: 3072; bcrypt is 1840 at cost 4, and 3680 at 5.
fn hasher() -> DefaultHasher {
    DefaultHasher::new(Argon2Params::danger_below_floor(1024, 3, 1).unwrap())
}

fn stored(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

fn spent<T>(hasher: &DefaultHasher, work: impl FnOnce(&DefaultHasher) -> T) -> u64 {
    hasher.spent.store(0, Ordering::Relaxed);
    let _ = work(hasher);
    hasher.spent.load(Ordering::Relaxed)
}

fn every_wrong_answer(hasher: &DefaultHasher) -> Vec<(&'static str, u64)> {
    let own = hasher.hash(&ValidatedPassword::proved(Secret::from("guinevere"))).unwrap();
    let long = "x".repeat(73);
    let absurd = CHEAPER.replace("m=8", "m=4294967295");
    vec![
        ("nobody", spent(hasher, |hasher| hasher.verify_dummy("lancelot"))),
        ("current", spent(hasher, |hasher| hasher.verify("lancelot", &own))),
        ("cheaper Argon2", spent(hasher, |hasher| hasher.verify("lancelot", &stored(CHEAPER)))),
        ("cheaper bcrypt", spent(hasher, |hasher| hasher.verify("lancelot", &stored(BCRYPT_04)))),
        ("too long for bcrypt", spent(hasher, |hasher| hasher.verify(&long, &stored(BCRYPT_04)))),
        ("no password", spent(hasher, |hasher| hasher.verify("lancelot", &stored("")))),
        ("damaged", spent(hasher, |hasher| hasher.verify("lancelot", &stored(CHEAPER.trim_end_matches('A'))))),
        ("absurd cost", spent(hasher, |hasher| hasher.verify("lancelot", &stored(&absurd)))),
    ]
}

#[test]
fn en_02_every_wrong_answer_costs_the_same() {
    for (user, work) in every_wrong_answer(&hasher()) {
        assert!(work.abs_diff(3072) <= 8, "{user}: {work}");
    }
}

#[test]
fn en_02_costlier_bcrypt_can_be_levelled_with() {
    let costlier = spent(&hasher(), |hasher| hasher.verify("lancelot", &stored(BCRYPT_05)));
    assert_eq!(costlier, 3680, "more than the others by default");
    // Both kinds for everybody, since one in terms of the other is another number on every machine.
    let (level, both) = (hasher().level_with_bcrypt(5), costlier + 3072);
    for (user, work) in every_wrong_answer(&level) {
        assert!(work.abs_diff(both) <= 8, "{user}: {work}");
    }
    assert_eq!(spent(&level, |hasher| hasher.verify("lancelot", &stored(BCRYPT_05))), both);
    let dearer = hasher().level_with_bcrypt(7);
    for (user, work) in every_wrong_answer(&dearer) {
        assert!(work.abs_diff((115 << 7) + 3072) <= 8, "{user}: {work}");
    }
}

#[test]
fn en_02_the_work_for_nothing_is_the_work_of_a_hash() {
    let hasher = DefaultHasher::default();
    let real = spent(&hasher, |hasher| hasher.hash(&ValidatedPassword::proved(Secret::from("guinevere"))));
    assert_eq!(spent(&hasher, |hasher| hasher.verify_dummy("guinevere")), real);
}

#[test]
fn a_right_password_is_not_held_up() {
    let right = spent(&hasher(), |hasher| hasher.verify("guinevere", &stored(BCRYPT_04)));
    assert_eq!(right, 1840);
}
