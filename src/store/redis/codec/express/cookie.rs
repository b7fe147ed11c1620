//! The `cookie` of a record: what `Cookie.prototype.toJSON` of express-session writes, and when it
//! expires.

use std::time::{Duration, SystemTime};

use super::super::{
    field::{find, replaced},
    merge::text::members,
};

/// The name of express-session's own field. A record without it makes every request fail.
pub(super) const COOKIE: &str = "cookie";
/// The last moment that JavaScript writes with four digits for the year, in milliseconds.
const LAST_MILLIS: u64 = 253_402_300_799_999;
const DAY: u64 = 86_400_000;

/// The cookie's `sameSite`, in express-session's spelling.
///
/// ```
/// use socketioxide_session::interop::express::{ExpressRecords, SameSite};
///
/// // `cookie: { sameSite: "lax" }`
/// let records = ExpressRecords::new().same_site(SameSite::Lax);
/// # drop(records);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// `"strict"`: requests from other sites carry no cookie.
    Strict,
    /// `"lax"`: of other sites only their links carry the cookie.
    Lax,
    /// `"none"`: requests from all sites carry the cookie.
    None,
}

/// The cookie options of an app.
#[derive(Debug, Clone)]
pub(super) struct RecordCookie {
    pub(super) max_age: Option<Duration>,
    pub(super) secure: Option<bool>,
    pub(super) http_only: bool,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) same_site: Option<SameSite>,
}

impl Default for RecordCookie {
    fn default() -> Self {
        Self {
            max_age: None,
            secure: None,
            http_only: true,
            path: "/".into(),
            domain: None,
            same_site: None,
        }
    }
}

impl RecordCookie {
    /// In the order of express-session 1.19; what is not set is left out, but for the first two.
    pub(super) fn json(&self, now: SystemTime) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let same_site = self.same_site.map(|same_site| match same_site {
            SameSite::Strict => r#""strict""#,
            SameSite::Lax => r#""lax""#,
            SameSite::None => r#""none""#,
        });
        let max_age = self
            .max_age
            .and_then(|age| u64::try_from(age.as_millis()).ok());
        let expires = max_age.and_then(|age| timestamp(now, age));
        let null = || Some("null".to_owned());
        let fields = [
            (
                "originalMaxAge",
                max_age.map(|age| age.to_string()).or_else(null),
            ),
            ("expires", expires.or_else(null)),
            ("secure", self.secure.map(|secure| secure.to_string())),
            ("httpOnly", Some(self.http_only.to_string())),
            ("domain", self.domain.as_deref().map(quoted)),
            ("path", Some(quoted(&self.path))),
            ("sameSite", same_site.map(str::to_owned)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| {
            let value = value?;
            Some(format!(r#""{name}":{value}"#))
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// A record whose `cookie` has the fields of `cookie` too, unless it has its own; `None` when it is no
/// object. Express writes `cookie` first.
pub(super) fn completed(record: &str, cookie: &str) -> Option<String> {
    let fields = members(record)?;
    let mut own = cookie.to_owned();
    for field in fields.iter().filter(|field| field.name == COOKIE) {
        for member in members(field.value).unwrap_or_default() {
            own = replaced(&own, &[&member.name], member.value);
        }
    }
    let mut written = vec![format!(r#""{COOKIE}":{own}"#)];
    let others = fields.iter().filter(|field| field.name != COOKIE);
    written.extend(others.map(|field| format!("{}:{}", field.key, field.value)));
    Some(format!("{{{}}}", written.join(",")))
}

/// A record whose cookie expires after its `originalMaxAge` from now; `None` when it has none.
pub(super) fn renewed(record: &str, now: SystemTime) -> Option<String> {
    let max_age = find(record, &[COOKIE, "originalMaxAge"])?;
    let max_age: f64 = max_age.parse().ok()?;
    let max_age = Duration::try_from_secs_f64(max_age / 1000.0).ok()?;
    let max_age = u64::try_from(max_age.as_millis()).ok()?;
    let expires = timestamp(now, max_age)?;
    Some(replaced(record, &[COOKIE, "expires"], &expires))
}

/// A moment as JavaScript's `JSON.stringify` writes a `Date`: `"2026-11-22T22:04:24.462Z"`. `None` when
/// the year has more than four digits.
fn timestamp(now: SystemTime, after: u64) -> Option<String> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis();
    let millis = u64::try_from(now).ok()?.checked_add(after)?;
    if millis > LAST_MILLIS {
        return None;
    }
    let (year, month, day) = civil(millis / DAY);
    let (hour, minute) = (millis / 3_600_000 % 24, millis / 60_000 % 60);
    let (second, milli) = (millis / 1000 % 60, millis % 1000);
    Some(format!(
        r#""{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z""#
    ))
}

/// The year, month and day of a day since 1970, in the Gregorian calendar. A year is counted from March
/// here, so that the leap day is its last; eras of 400 years have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Option<String> {
        timestamp(SystemTime::UNIX_EPOCH, millis)
    }

    #[test]
    fn moments_are_written_as_javascript_writes_them() {
        // `JSON.stringify(new Date(n))` of Node.js 20.
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_385_064_462, "2026-11-22T22:04:24.462Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
            (LAST_MILLIS, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(at(millis), Some(format!("\"{expected}\"")));
        }
        assert_eq!(at(LAST_MILLIS + 1), None);
        assert_eq!(at(u64::MAX), None);
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST_MILLIS / DAY {
            assert_eq!(civil(days), (year, month, day));
            let last = match month {
                2 => 28 + u64::from(is_leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
