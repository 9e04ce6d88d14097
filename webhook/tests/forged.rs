//! Forged and malformed reviews, made by a seeded generator from a corpus: whatever arrives is
//! answered. `FLUX_FORGED=1000000` makes more of them.

use std::time::{Duration, Instant};

use flux_admission_webhook::admission::{Request, Stage};
use flux_rules::{Context, Kind, Policy};
use serde_json::{Value, json};

/// Bodies in the reduced run.
const FEW: usize = 4_000;

/// xorshift64*: the same bodies in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or_default()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let index = self.below(from.len());
        &from[index]
    }
}

/// Reviews of all examples of all rules.
fn corpus() -> Vec<Value> {
    let mut reviews = Vec::new();
    for rule in flux_rules::rules() {
        for example in rule.examples {
            let documents = flux_lang_read(example.manifest);
            let Some(mut object) = documents else {
                continue;
            };
            let kind = rule.kind.unwrap_or(Kind::GitRepository);
            object["apiVersion"] = json!(format!("{}/v1", kind.group()));
            object["kind"] = json!(kind.name());
            object["metadata"]["name"] = json!("example");
            object["metadata"]["namespace"] = json!("apps");
            reviews.push(json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {"uid": "1", "operation": "UPDATE", "userInfo": {"username": "jane"},
                    "object": object, "oldObject": object},
            }));
        }
    }
    reviews
}

fn flux_lang_read(text: &str) -> Option<Value> {
    let mut documents = flux_lang::yaml::read(text).ok()?;
    (!documents.is_empty()).then(|| documents.remove(0).value)
}

/// All pointers into a value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A value that is not what is expected, whatever that is.
fn odd(random: &mut Random) -> Value {
    let texts = [
        "",
        "\u{0}",
        "ssh://@:/",
        "https://[::1",
        "$1$2${",
        "((((((((((",
        "[[:alpha:]]{1000}{1000}",
        "{{ range .x }}{{ end }}",
        "{{ define \"a\" }}{{ template \"a\" }}{{ end }}",
        "1d",
        "-1s",
        "9999999999999999h",
        ">=1.0.0 <2 || ~x",
        "ENC[AES256_GCM,",
        "\u{202e}\u{200b}",
        "%2e%2e/",
    ];
    match random.below(9) {
        0 => Value::Null,
        1 => json!(random.next()),
        2 => json!(-1.5e300),
        3 => json!(true),
        4 => json!([[[{}]]]),
        5 => json!({"": {"~": [null]}}),
        6 => json!("a/".repeat(random.below(20_000))),
        7 => json!("(".repeat(random.below(3_000))),
        _ => json!(random.pick(&texts)),
    }
}

fn body(random: &mut Random, corpus: &[Value]) -> Vec<u8> {
    let mut review = random.pick(corpus).clone();
    for _ in 0..random.below(4) {
        let mut places = Vec::new();
        pointers(&review, "", &mut places);
        let place = random.pick(&places).clone();
        if let Some(value) = review.pointer_mut(&place) {
            *value = odd(random);
        }
    }
    let mut bytes = review.to_string().into_bytes();
    match random.below(6) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or_default();
                }
            }
        }
        2 => {
            let depth = random.below(5_000);
            bytes = [vec![b'['; depth], bytes, vec![b']'; depth]].concat();
        }
        _ => {}
    }
    bytes
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}

#[test]
fn whatever_arrives_is_answered() {
    let count = std::env::var("FLUX_FORGED")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(FEW);
    let corpus = corpus();
    assert!(corpus.len() > 200, "{}", corpus.len());
    let (context, policy) = (Context::default(), Policy::new("flux-system"));
    let mut random = Random(0x5EED);
    let mut slowest = Duration::ZERO;
    let mut judged = 0_usize;
    let mut early = 0;
    for number in 0..count {
        // By then everything that is made once has been made.
        if number == count / 10 {
            early = resident();
        }
        let body = body(&mut random, &corpus);
        let started = Instant::now();
        for stage in [Stage::Mutate, Stage::Validate] {
            let answer = match Request::read(&body) {
                Ok(request) => {
                    judged += 1;
                    request.answer(stage, &context, &policy)
                }
                Err(answer) => *answer,
            };
            let response = &answer.body["response"];
            assert!(response["allowed"].is_boolean(), "body {number}");
            assert!(response["uid"].is_string(), "body {number}");
            let warnings = response["warnings"].as_array().map_or(0, Vec::len);
            assert!(warnings <= 5, "body {number}: {warnings} warnings");
        }
        slowest = slowest.max(started.elapsed());
    }
    println!(
        "{count} bodies, {judged} judged, slowest {slowest:?}, {early} KiB resident after a tenth, \
         {} KiB at the end",
        resident()
    );
    assert!(judged > count / 4, "{judged}");
}
