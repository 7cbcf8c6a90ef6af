//! The one rule by which layers of variables go on top of each other (core §5.1).

use super::Variables;
use serde_json::Value;
use serde_json::map::Entry;

/// `base` with `layer` on top: mappings meet key by key, everything else is replaced whole.
#[must_use]
pub fn merge(mut base: Variables, layer: Variables) -> Variables {
    for (key, over) in layer {
        match base.entry(key) {
            Entry::Vacant(place) => {
                place.insert(over);
            }
            Entry::Occupied(mut place) => match (place.get_mut(), over) {
                (Value::Object(under), Value::Object(over)) => {
                    *under = merge(std::mem::take(under), over);
                }
                (place, over) => *place = over,
            },
        }
    }
    base
}
