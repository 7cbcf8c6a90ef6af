//! Which flavor or image a selector means: the one that has every member of it, if there is one alone.

use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use serde_json::Value;

/// So many of those that fit are named.
const NAMED_MAX: usize = 10;

/// The place in `offers` of the one that a selector fits; `noun` is what is chosen, e.g. `flavor`.
///
/// # Errors
/// Permanent where the selector is no JSON object, fits none, or fits several.
pub fn select(noun: &str, selector: &Value, offers: &[Value]) -> Result<usize, PortError> {
    let refuse = |why: String| PortError::permanent(ErrorCode::MachineNotOffered, why);
    let Some(wanted) = selector.as_object().filter(|wanted| !wanted.is_empty()) else {
        return Err(refuse(format!("the {noun} selector {selector} selects nothing")));
    };
    let fits = |offer: &Value| wanted.iter().all(|(name, value)| offer.get(name) == Some(value));
    let fitting: Vec<_> =
        offers.iter().enumerate().filter(|(_, offer)| fits(offer)).map(|(at, _)| at).collect();
    match fitting[..] {
        [at] => Ok(at),
        [] => Err(refuse(format!("the region has no {noun} that fits {selector}"))),
        _ => {
            let count = fitting.len();
            let named = fitting.iter().take(NAMED_MAX).filter_map(|at| offers.get(*at));
            let mut named: Vec<String> = named.map(name_offer).collect();
            if count > NAMED_MAX {
                named.push(format!("and {} more", count - NAMED_MAX));
            }
            let named = named.join(", ");
            Err(refuse(format!(
                "{count} of the region's {noun}s fit {selector}: it must mean one of {named}"
            )))
        }
    }
}

/// An offer as people tell it from others: names may repeat.
fn name_offer(offer: &Value) -> String {
    let text = |member: &str| offer.get(member).and_then(Value::as_str);
    match (text("name"), text("id")) {
        (Some(name), Some(id)) if name != id => format!("`{name}` ({id})"),
        (Some(name), _) => format!("`{name}`"),
        (None, Some(id)) => id.to_owned(),
        (None, None) => offer.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_means_one_offer_or_is_refused() {
        let offers = [
            json!({"name": "small", "id": "1", "ram": 4096, "disk": 40}),
            json!({"name": "wide", "ram": 4096, "disk": 80}),
        ];
        assert_eq!(select("flavor", &json!({"ram": 4096, "disk": 80}), &offers).unwrap(), 1);
        assert_eq!(select("flavor", &json!({"name": "small"}), &offers).unwrap(), 0);
        let refused = [
            (json!({"ram": 4096}), "2 of the region's flavors fit"),
            (json!({"ram": 1}), "no flavor that fits"),
            (json!({"vcpus": 2}), "no flavor that fits"),
            (json!({}), "selects nothing"),
            (json!(null), "selects nothing"),
        ];
        let error = select("flavor", &json!({"ram": 4096}), &offers).unwrap_err();
        assert!(error.message.ends_with("it must mean one of `small` (1), `wide`"), "{error}");
        let many: Vec<Value> = (0..12).map(|id| json!({"id": id.to_string(), "ram": 1})).collect();
        let error = select("flavor", &json!({"ram": 1}), &many).unwrap_err();
        assert!(error.message.ends_with("8, 9, and 2 more"), "{error}");
        for (selector, words) in refused {
            let error = select("flavor", &selector, &offers).unwrap_err();
            assert_eq!(error.code, Some(ErrorCode::MachineNotOffered), "{selector}");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
