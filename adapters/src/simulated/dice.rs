//! Decisions by seed: the same on any machine, in any order, at any time.

use std::time::Duration;

/// Odd, and without a pattern: the golden ratio's bits.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Answers questions by seed and name; asking again gives the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// Dice of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STRIDE)))
    }

    /// Sixty-four bits for the `nth` question of that name about `key`.
    #[must_use]
    pub fn roll(&self, key: &str, question: &str, nth: u32) -> u64 {
        let mut state = self.0;
        // The length sets "ab" + "c" apart from "a" + "bc".
        for text in [key, question] {
            state = mix(state ^ text.len() as u64);
            for chunk in text.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                state = mix(state.wrapping_add(STRIDE) ^ u64::from_le_bytes(word));
            }
        }
        mix(state ^ u64::from(nth))
    }

    /// A number from 0 to 1, without 1.
    #[must_use]
    pub fn share(&self, key: &str, question: &str, nth: u32) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.roll(key, question, nth) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of that probability happens.
    #[must_use]
    pub fn happens(&self, probability: f64, key: &str, question: &str, nth: u32) -> bool {
        self.share(key, question, nth) < probability
    }

    /// A whole number from `least` to `most`, both included.
    #[must_use]
    pub fn number(&self, least: u32, most: u32, key: &str, question: &str) -> u32 {
        let span = u64::from(most.saturating_sub(least)) + 1;
        least + u32::try_from(self.roll(key, question, 0) % span).unwrap_or(0)
    }

    /// A time from `least` to `most` seconds, in whole milliseconds.
    #[must_use]
    pub fn span(&self, least: u64, most: u64, key: &str, question: &str, nth: u32) -> Duration {
        let range = (most.saturating_sub(least)) * 1_000 + 1;
        Duration::from_millis(least * 1_000 + self.roll(key, question, nth) % range)
    }
}

/// Sebastiano Vigna's finalizer of `SplitMix64`: each bit of the result depends on all of `bits`.
fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_question_changes_the_answer_and_nothing_else_does() {
        let dice = Dice::new(7);
        let answer = dice.roll("key", "call", 1);
        assert_eq!(Dice::new(7).roll("key", "call", 1), answer);
        let others = [
            Dice::new(8).roll("key", "call", 1),
            dice.roll("kez", "call", 1),
            dice.roll("keyc", "all", 1),
            dice.roll("key", "call", 2),
        ];
        assert!(others.iter().all(|other| *other != answer));
    }

    #[test]
    fn shares_are_spread_evenly() {
        let dice = Dice::new(1);
        let hits = (0..10_000).filter(|nth| dice.happens(0.3, "key", "call", *nth)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        let spans = (0..1_000).map(|nth| dice.span(5, 9, "key", "call", nth).as_secs_f64());
        assert!(spans.clone().all(|span| (5.0..=9.0).contains(&span)));
        assert!(spans.clone().any(|span| span < 5.5) && spans.clone().any(|span| span > 8.5));
    }
}
