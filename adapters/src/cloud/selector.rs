//! Which flavor or image a selector means: the one that has every member of it, if there is one alone.

use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use serde_json::Value;

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
            Err(refuse(format!("{count} of the region's {noun}s fit {selector}: it must mean one")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_selector_means_one_offer_or_is_refused() {
        let offers = [
            json!({"name": "small", "ram": 4096, "disk": 40}),
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
        for (selector, words) in refused {
            let error = select("flavor", &selector, &offers).unwrap_err();
            assert_eq!(error.code, Some(ErrorCode::MachineNotOffered), "{selector}");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
}
