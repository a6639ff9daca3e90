//! Project Wycheproof's vectors (packages/crypto/test/vectors/wycheproof), through the calls of aws-lc-rs that this crate makes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use serde_json::Value;

#[test]
fn x25519_agrees_and_refuses_exactly_the_all_zero_secrets() {
    let tests = tests_of(include_str!("../../../crypto/test/vectors/wycheproof/x25519_test.json"), |_| true);
    assert_eq!(tests.len(), 518);
    for test in tests {
        let pair = PrivateKey::from_private_key(&X25519, &hex(&test["private"])).unwrap();
        let public = hex(&test["public"]);
        let shared = agree(&pair, UnparsedPublicKey::new(&X25519, &public), (), |shared| Ok(shared.to_vec()));
        let zero = test["flags"].as_array().unwrap().iter().any(|flag| flag == "ZeroSharedSecret");
        assert_eq!(shared.ok(), (!zero).then(|| hex(&test["shared"])), "tcId {}", test["tcId"]);
    }
}

#[test]
fn aes_256_gcm_seals_and_opens_and_refuses_what_is_forged() {
    let fits = |group: &Value| group["keySize"] == 256 && group["ivSize"] == 96 && group["tagSize"] == 128;
    let tests = tests_of(include_str!("../../../crypto/test/vectors/wycheproof/aes_gcm_test.json"), fits);
    assert_eq!(tests.len(), 66);
    for test in tests {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &hex(&test["key"])).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&hex(&test["iv"])).unwrap();
        let (aad, text, tag) = (hex(&test["aad"]), hex(&test["ct"]), hex(&test["tag"]));
        let mut out = vec![0; text.len()];
        let opened = key.open_separate_gather(nonce(), Aad::from(&aad), &text, &tag, &mut out);
        assert_eq!(opened.is_ok(), test["result"] == "valid", "tcId {}", test["tcId"]);
        if opened.is_ok() {
            assert_eq!(out, hex(&test["msg"]));
            let sealed = key.seal_in_place_separate_tag(nonce(), Aad::from(&aad), &mut out).unwrap();
            assert_eq!((out.as_slice(), sealed.as_ref()), (text.as_slice(), tag.as_slice()));
        }
    }
}

#[test]
fn hkdf_sha256_derives() {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let tests = tests_of(include_str!("../../../crypto/test/vectors/wycheproof/hkdf_sha256_test.json"), |_| true);
    assert_eq!(tests.len(), 86);
    for test in tests {
        let (info, size) = (hex(&test["info"]), test["size"].as_u64().unwrap() as usize);
        let prk = Salt::new(HKDF_SHA256, &hex(&test["salt"])).extract(&hex(&test["ikm"]));
        let mut out = vec![0; size];
        let derived = prk.expand(&[info.as_slice()], Length(size)).and_then(|okm| okm.fill(&mut out));
        assert_eq!(derived.is_ok(), test["result"] == "valid", "tcId {}", test["tcId"]);
        assert!(derived.is_err() || out == hex(&test["okm"]), "tcId {}", test["tcId"]);
    }
}

#[test]
fn hmac_sha256_computes() {
    let tests = tests_of(include_str!("../../../crypto/test/vectors/wycheproof/hmac_sha256_test.json"), |_| true);
    assert_eq!(tests.len(), 174);
    for test in tests {
        let mac = sign(&Key::new(HMAC_SHA256, &hex(&test["key"])), &hex(&test["msg"]));
        let tag = hex(&test["tag"]);
        assert_eq!(mac.as_ref()[..tag.len()] == tag, test["result"] == "valid", "tcId {}", test["tcId"]);
    }
}

fn tests_of(file: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).unwrap();
    let groups = file["testGroups"].as_array().unwrap().iter().filter(|group| fits(group));
    groups.flat_map(|group| group["tests"].as_array().unwrap().clone()).collect()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
