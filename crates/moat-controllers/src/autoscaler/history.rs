//! What an autoscaler recommended and did lately, by which it is kept from swinging.

use crate::json::{list, number, text};
use serde_json::Value;

/// How long recommendations count on the way down where nothing is said (`--horizontal-pod-autoscaler-downscale-stabilization`).
const DOWN_WINDOW: i64 = 300;
/// The longest window and the longest period that the API takes, in seconds: what is older counts for nobody.
const WINDOW_MAX: i64 = 3600;
/// Recommendations and changes that are remembered.
const MEMORY: usize = 1024;
/// Without rules of its own an autoscaler may double what there is, or go to this many.
const UP_LEAST: i32 = 4;

/// Recommendations and changes with their times, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    recommended: Vec<(i64, i32)>,
    ups: Vec<(i64, i32)>,
    downs: Vec<(i64, i32)>,
}

/// What there is, what is wanted, and between which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) current: i32,
    pub(super) desired: i32,
    pub(super) min: i32,
    pub(super) max: i32,
}

/// A number of replicas that may be set now; what is told of it, as reason and message: whether it waits, and whether it is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) replicas: i32,
    pub(super) able: (&'static str, &'static str),
    pub(super) limited: (bool, &'static str, &'static str),
}

const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABLE: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABLE: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: (&str, &str) =
    ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FAST_UP: (&str, &str) =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: (&str, &str) = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const TOO_MANY: (&str, &str) =
    ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: (&str, &str) =
    ("TooFewReplicas", "the desired replica count is less than the minimum replica count");

impl History {
    /// Takes what was there before the first look for a recommendation, so that a controller that starts does not begin by taking away.
    pub(super) fn begin(&mut self, current: i32, now: i64) {
        if self.recommended.is_empty() {
            self.recommended.push((now, current));
        }
    }

    /// The number that may be set now, and remembers what was wanted. `behavior` is the autoscaler's own, with its defaults, or null.
    pub(super) fn settle(&mut self, wish: Wish, behavior: &Value, now: i64) -> Settled {
        let stable = self.stabilize(wish, behavior, now);
        let able = if stable == wish.desired {
            READY
        } else if behavior.is_null() || wish.desired < wish.current {
            DOWN_STABLE
        } else {
            UP_STABLE
        };
        let wish = Wish { desired: stable, ..wish };
        let (replicas, (reason, message)) =
            if behavior.is_null() { plainly(wish) } else { self.by_rules(wish, behavior, now) };
        Settled { replicas, able, limited: (replicas != stable, reason, message) }
    }

    fn stabilize(&mut self, wish: Wish, behavior: &Value, now: i64) -> i32 {
        let stable = if behavior.is_null() {
            let from = now - DOWN_WINDOW * 1000;
            let recent = self.recommended.iter().filter(|(time, _)| from <= *time);
            recent.map(|one| one.1).fold(wish.desired, i32::max)
        } else {
            let after = |side: &str, default: i64| {
                let window = number(&behavior[side], "/stabilizationWindowSeconds");
                now - window.unwrap_or(default) * 1000
            };
            let (up, down) = (after("scaleUp", 0), after("scaleDown", DOWN_WINDOW));
            let (mut least, mut most) = (wish.desired, wish.desired);
            for (time, recommended) in &self.recommended {
                if up < *time {
                    least = least.min(*recommended);
                }
                if down < *time {
                    most = most.max(*recommended);
                }
            }
            wish.current.max(least).min(most)
        };
        remember(&mut self.recommended, now, wish.desired);
        stable
    }

    fn by_rules(
        &self,
        wish: Wish,
        behavior: &Value,
        now: i64,
    ) -> (i32, (&'static str, &'static str)) {
        let Wish { current, desired, min, max } = wish;
        if current < desired {
            let limit = self.limit(current, &behavior["scaleUp"], true, now).max(current);
            let (most, why) = if limit < max { (limit, TOO_FAST_UP) } else { (max, TOO_MANY) };
            if most < desired {
                return (most, why);
            }
        } else if desired < current {
            let limit = self.limit(current, &behavior["scaleDown"], false, now).min(current);
            let (least, why) = if min < limit { (limit, TOO_FAST_DOWN) } else { (min, TOO_FEW) };
            if desired < least {
                return (least, why);
            }
        }
        (desired, WITHIN)
    }

    /// How far the policies of a side let the replicas go now.
    fn limit(&self, current: i32, rules: &Value, up: bool, now: i64) -> i32 {
        let select = text(rules, "/selectPolicy");
        if select == "Disabled" {
            return current;
        }
        let since = |events: &[(i64, i32)], period: i64| {
            let recent = events.iter().filter(|(time, _)| now - period * 1000 < *time);
            recent.fold(0_i64, |sum, one| sum + i64::from(one.1))
        };
        let reaches = |policy: &Value| {
            let period = number(policy, "/periodSeconds").unwrap_or(0);
            let value = number(policy, "/value").unwrap_or(0);
            let began = i64::from(current) - since(&self.ups, period) + since(&self.downs, period);
            match (text(policy, "/type"), up) {
                ("Pods", true) => began.saturating_add(value),
                ("Pods", false) => began.saturating_sub(value),
                // Up is rounded up, so that a small share is at least one; down is rounded towards nothing.
                (_, true) => whole((float(began) * (1.0 + float(value) / 100.0)).ceil()),
                (_, false) => whole(float(began) * (1.0 - float(value) / 100.0)),
            }
        };
        let all = list(rules, "/policies").iter().map(reaches);
        // The greatest change is the highest number on the way up, and the lowest on the way down.
        let chosen = if (select == "Min") == up { all.min() } else { all.max() };
        let chosen = chosen.unwrap_or_else(|| current.into());
        i32::try_from(chosen.clamp(0, i32::MAX.into())).unwrap_or(i32::MAX)
    }

    /// Remembers a change that was made, where rules ask for changes.
    pub(super) fn changed(&mut self, behavior: &Value, from: i32, to: i32, now: i64) {
        if behavior.is_null() {
            return;
        }
        let events = if from < to { &mut self.ups } else { &mut self.downs };
        remember(events, now, (to - from).abs());
    }
}

#[expect(clippy::cast_precision_loss, reason = "replicas and percents have few digits")]
fn float(n: i64) -> f64 {
    n as f64
}

/// By the same floating point as upstream, whose roundings are part of what its users see.
#[expect(clippy::cast_possible_truncation, reason = "what is too much becomes the most there is")]
fn whole(n: f64) -> i64 {
    n as i64
}

/// Adds to a memory, out of which the old falls.
fn remember(memory: &mut Vec<(i64, i32)>, now: i64, value: i32) {
    memory.retain(|(time, _)| now - WINDOW_MAX * 1000 <= *time);
    if MEMORY <= memory.len() {
        memory.remove(0);
    }
    memory.push((now, value));
}

/// The bounds where there are no rules.
fn plainly(Wish { current, desired, min, max }: Wish) -> (i32, (&'static str, &'static str)) {
    let limit = current.saturating_mul(2).max(UP_LEAST);
    let (most, why) = if limit < max { (limit, TOO_FAST_UP) } else { (max, TOO_MANY) };
    if desired < min {
        (min, TOO_FEW)
    } else if most < desired {
        (most, why)
    } else {
        (desired, WITHIN)
    }
}
