//! Durations: the text is kept, and what is written is read as the same length.

#![no_main]

use std::time::Duration;

use flux_api::duration::{GoDuration, go_string};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &str)| {
    let (nanos, text) = input;
    // Go has 63 bits.
    written_is_read(Duration::from_nanos(nanos / 2));

    let lenient: GoDuration = serde_json::from_value(text.into()).expect("any text");
    assert_eq!(lenient.as_str(), text);
    assert_eq!(serde_json::to_value(&lenient).expect("a text"), text);
    match text.parse::<GoDuration>() {
        Ok(duration) => {
            assert_eq!(duration.to_string(), text);
            assert_eq!(duration.error(), None);
            assert_eq!(lenient.as_std(), duration.as_std());
            written_is_read(duration.as_std());
        }
        Err(error) => {
            assert_eq!(lenient.error(), Some(&error));
            assert_eq!(lenient.as_std(), GoDuration::FALLBACK);
            assert!(!error.to_string().is_empty());
        }
    }
});

fn written_is_read(duration: Duration) {
    let text = go_string(duration);
    let read: GoDuration = text.parse().expect("what was written");
    assert_eq!(read.as_std(), duration, "{text}");
    assert_eq!(GoDuration::from_std(duration), read);
}
