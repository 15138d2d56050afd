use moat_flow::Time;
use proptest::prelude::*;

#[test]
fn reads_what_rfc_3339_allows() {
    let same = [
        "2026-01-31T12:00:00.123456Z",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31t12:00:00.123456z",
        "2026-01-31T14:30:00.123456+02:30",
        "2026-01-30T23:59:60.123456-12:00",
        "2026-01-31T07:00:00.123456-05:00",
    ];
    let time = Time::from_nanos(1_769_860_800_123_456_000);
    for text in same {
        assert_eq!(Time::parse(text), Some(time), "{text}");
    }
    for text in [
        "",
        "2026",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+1:00",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00Zz",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "+026-01-31T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-31T12:00:00é",
    ] {
        assert_eq!(Time::parse(text), None, "{text}");
    }
}

#[test]
fn writes_dates_that_are_easily_missed() {
    for text in [
        "1970-01-01T00:00:00.000000Z",
        "1972-02-29T23:59:59.999999Z",
        "2000-02-29T00:00:00.000001Z",
        "2000-03-01T00:00:00.000000Z",
        "2100-02-28T00:00:00.000000Z",
        "2100-03-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999Z",
    ] {
        assert_eq!(Time::parse(text).unwrap().to_string(), text);
    }
    // `date -u -d @1000000000`
    assert_eq!(
        Time::from_nanos(1_000_000_000_000_000_000).to_string(),
        "2001-09-09T01:46:40.000000Z"
    );
    let last = Time::from_nanos(u64::MAX);
    assert_eq!(last.to_string(), "2554-07-21T23:34:33.709551Z");
    assert_eq!(last.of_day(), "23:34:33.709");
}

#[test]
fn every_day_follows_the_one_before() {
    let days = |month: u64, leap: bool| match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let mut n = 0;
    for year in 1970..2554u64 {
        let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
        for month in 1..=12 {
            for day in 1..=days(month, leap) {
                let time = Time::from_nanos(n * 86_400 * 1_000_000_000);
                assert_eq!(
                    time.to_string(),
                    format!("{year}-{month:02}-{day:02}T00:00:00.000000Z")
                );
                assert_eq!(Time::parse(&time.to_string()), Some(time));
                n += 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn reading_undoes_writing(nanos: u64) {
        let time = Time::from_nanos(nanos);
        prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
    }

    #[test]
    fn no_text_is_too_much(text in "[0-9TtZz:.+\\-é ]{0,32}") {
        let _ = Time::parse(&text);
    }
}
