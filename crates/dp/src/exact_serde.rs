//! Floats as decimal text that parses back to the same bits. JSON readers may be off by one unit in the last place, and
//! a replayed ledger must equal the one that wrote it.
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<T: Copy + Into<f64>, S: Serializer>(value: &T, s: S) -> Result<S::Ok, S::Error> {
    let value: f64 = (*value).into();
    // Debug is Rust's shortest text that parses back exactly.
    s.serialize_str(&format!("{value:?}"))
}

pub(crate) fn deserialize<'de, T: TryFrom<f64, Error: std::fmt::Display>, D: Deserializer<'de>>(
    d: D,
) -> Result<T, D::Error> {
    let value: f64 = String::deserialize(d)?.parse().map_err(D::Error::custom)?;
    T::try_from(value).map_err(D::Error::custom)
}
