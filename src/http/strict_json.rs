//! What JSON may not hold though its grammar allows it: a key twice, numbers beyond 64 bits.
//!
//! Of a key that stands twice every reader takes another one, and a number beyond 64 bits would
//! become another number in silence.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Any JSON that holds neither; its values are not kept.
#[derive(Debug)]
pub(super) struct StrictJson;

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = StrictJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<StrictJson, E> {
        Ok(StrictJson)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<StrictJson, E> {
        Ok(StrictJson)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<StrictJson, E> {
        Ok(StrictJson)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<StrictJson, E> {
        // Whole numbers come here only where they are beyond 64 bits.
        let (least, most) = (-(2_f64.powi(63)), 2_f64.powi(64));
        if number > least && number < most {
            return Ok(StrictJson);
        }
        Err(E::custom("the number is beyond 64 bits"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<StrictJson, E> {
        Ok(StrictJson)
    }

    fn visit_unit<E: Error>(self) -> Result<StrictJson, E> {
        Ok(StrictJson)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<StrictJson, A::Error> {
        while items.next_element::<StrictJson>()?.is_some() {}
        Ok(StrictJson)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<StrictJson, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = fields.next_key::<String>()? {
            fields.next_value::<StrictJson>()?;
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format!("the key `{twice}` stands there twice")));
            }
        }
        Ok(StrictJson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        serde_json::from_str::<StrictJson>(text).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_stands_once_in_its_object_however_deep() {
        for text in [r#"{"a": 1, "a": 1}"#, r#"{"b": [{"a": 1, "c": 2, "\u0061": null}]}"#] {
            let refused = check(text).unwrap_err();
            assert!(refused.starts_with("the key `a` stands there twice"), "{refused}");
        }
        assert_eq!(check(r#"{"a": {"a": [{"a": "a"}, {"a": true}]}}"#), Ok(()));
    }

    #[test]
    fn a_number_is_within_64_bits() {
        let (least, most) = (i64::MIN, u64::MAX);
        for number in [least.to_string(), most.to_string(), "1.5e18".to_owned(), "-0.1".to_owned()]
        {
            assert_eq!(check(&number), Ok(()), "{number}");
        }
        for number in ["-9223372036854775809", "18446744073709551616", "1e30", "-1e300"] {
            assert!(check(&format!("[{number}]")).is_err(), "{number}");
        }
    }
}
