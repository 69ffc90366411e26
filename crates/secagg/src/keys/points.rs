//! Which X25519 public keys an honest client would send.

/// The canonical encodings of the points of low order on Curve25519 and its twist (cr.yp.to/ecdh.html#validate). A roster of
/// thousands of keys is checked by comparison, not by as many agreements; [`OneTimeSecret::agree`] looks again.
#[rustfmt::skip]
const LOW_ORDER: [[u8; 32]; 5] = [
    [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    [0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    [0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00],
    [0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57],
    [0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
];

/// Whether a public key is one that an honest client would send.
pub(crate) fn is_sound_public_key(key: &[u8; 32]) -> bool {
    is_canonical(key) && !LOW_ORDER.contains(key)
}

/// Below p = 2^255 − 19 with the top bit clear, so that one key has one encoding and cannot be on a roster twice.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    let at_least_p = *last == 0x7f && middle.iter().all(|b| *b == 0xff) && *first >= 0xed;
    *last < 0x80 && !at_least_p
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::agreement::plain;

    /// The points of low order on Curve25519 and its twist, canonical encodings first (Bernstein, "Curve25519: new
    /// Diffie-Hellman speed records", and cr.yp.to/ecdh.html#validate).
    fn low_order_points() -> Vec<[u8; 32]> {
        let hex = |t: &str| -> [u8; 32] {
            let bytes: Vec<u8> = t
                .as_bytes()
                .chunks(2)
                .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
                .collect();
            bytes.try_into().unwrap()
        };
        let mut p_minus_one = [0xff; 32];
        (p_minus_one[0], p_minus_one[31]) = (0xec, 0x7f);
        let (mut p, mut p_plus_one, mut one) = (p_minus_one, p_minus_one, [0; 32]);
        (p[0], p_plus_one[0], one[0]) = (0xed, 0xee, 1);
        vec![
            [0; 32],
            one,
            hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            p_minus_one,
            p,
            p_plus_one,
        ]
    }

    #[test]
    fn claim_low_order_and_second_encodings_of_keys_are_refused() {
        for point in low_order_points() {
            assert!(!is_sound_public_key(&point), "{point:02x?}");
        }
        // The list is that of the points with which an agreement comes to nothing.
        let secret = plain(&[0x42; 32]);
        assert!(LOW_ORDER.iter().all(|point| is_canonical(point) && secret.agree(point).is_none()));
        let listed = low_order_points().into_iter().filter(is_canonical);
        assert_eq!(listed.collect::<std::collections::BTreeSet<_>>(), LOW_ORDER.into());
        let mut honest = plain(&[1; 32]).public();
        assert!(is_sound_public_key(&honest));
        honest[31] |= 0x80;
        assert!(!is_sound_public_key(&honest), "the ignored top bit is a second encoding");
    }
}
