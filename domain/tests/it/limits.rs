//! Limits that others rely on: what they are, in the words of those.

use chrono::TimeDelta;
use ocim_domain::bulk::FREQUENCY_SECONDS_MAX;
use ocim_domain::configuration::yaml::YAML_BYTES_MAX;
use ocim_domain::event::APPEND_BYTES_MAX;
use ocim_domain::saga::UNDO_TIME;
use ocim_domain::text::TOOL_TEXT_BYTES_MAX;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

#[test]
fn an_append_is_no_larger_than_any_engine_takes() {
    assert_eq!(APPEND_BYTES_MAX, MIB, "KurrentDB's own limit, where nobody says another");
    assert_eq!(YAML_BYTES_MAX, MIB, "no text is read that could not be kept");
    assert_eq!(TOOL_TEXT_BYTES_MAX, 16 * KIB);
}

#[test]
fn pauses_of_bulk_work_and_undos_last_a_day() {
    let day = TimeDelta::days(1);
    assert_eq!(TimeDelta::seconds(i64::from(FREQUENCY_SECONDS_MAX)), day);
    assert_eq!(TimeDelta::from_std(UNDO_TIME), Ok(day));
}
