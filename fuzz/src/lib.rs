//! What several fuzz targets ask. A target calls one parser or editor and checks what must hold
//! for every text; that nothing panics, overflows or takes for ever is checked by the fuzzer.

/// Fails unless `line`, counted from 1, is a line of `text`.
///
/// # Panics
/// When it is none: that is the finding.
pub fn assert_line_of(text: &str, line: usize) {
    let breaks = text.replace("\r\n", "\n").matches(['\n', '\r']).count();
    assert!(
        (1..=breaks + 1).contains(&line),
        "line {line} of {} lines",
        breaks + 1
    );
}
