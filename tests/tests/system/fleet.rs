//! Many Kustomizations of one repository: what they cost the API server, in requests. Times are measured
//! by `soak sync`, at full scale.

use std::time::{Duration, Instant};

use flux_tests::{
    env::Env,
    fleet::{Fleet, Options},
    measure::{RequestLog, Requests},
    sandbox::{self, wait},
};

const COUNT: usize = 30;
const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing more comes after nothing came for this long: events follow the work.
const QUIET: Duration = Duration::from_secs(3);

/// What the operator has asked the API server for.
struct Asked(RequestLog);

impl Asked {
    fn of(env: &Env) -> Self {
        let log = env.sandbox().control_plane().unwrap().audit_log().unwrap();
        Self(RequestLog::open(log).unwrap())
    }

    /// All since the last call, once nothing more comes.
    async fn so_far(&mut self) -> Requests {
        let mut all = Requests::default();
        let mut last = Instant::now();
        wait::until("an operator at rest", PATIENCE, None, async || {
            let more = self.0.take().unwrap().of("operator");
            if more.total() > 0 {
                last = Instant::now();
            }
            for (kind, count) in more.0 {
                *all.0.entry(kind).or_default() += count;
            }
            let at_rest = last.elapsed() >= QUIET;
            at_rest.then_some(()).ok_or_else(|| "busy".to_owned())
        })
        .await
        .unwrap();
        all
    }
}

/// Those whose verb and resource are so.
fn count(requests: &Requests, is_so: impl Fn(&str, &str) -> bool) -> u64 {
    let kinds = requests.0.iter();
    let counted = kinds.filter(|(kind, _)| kind.verb != "watch");
    let counted = counted.filter(|(kind, _)| is_so(&kind.verb, &kind.resource));
    counted.map(|(_, count)| count).sum()
}

/// The kinds of which the repository has objects.
fn is_applied(resource: &str) -> bool {
    ["configmaps", "deployments", "serviceaccounts", "services"].contains(&resource)
}

#[tokio::test]
async fn many_kustomizations_ask_for_little() {
    let options = sandbox::Options {
        git: true,
        audit: true,
        ..sandbox::Options::default()
    };
    let env = Env::with(options).await.unwrap();
    let options = Options {
        kustomizations: COUNT,
        wait: false,
        // All objects are applied at every tenth: far from here.
        interval: "10s".to_owned(),
        concurrent: 8,
        patience: PATIENCE,
    };
    let mut fleet = Fleet::start(&env, &options).await.unwrap();
    let mut asked = Asked::of(&env);
    let each = COUNT as u64;

    fleet.install().await.unwrap();
    fleet.all_show().await.unwrap();
    let requests = asked.so_far().await;
    let lines = requests.lines().join("\n");
    assert_eq!(
        count(&requests, |verb, kind| verb == "patch" && is_applied(kind)),
        4 * each,
        "{lines}"
    );
    println!("an install asks for {} of {COUNT}", requests.total());
    assert!(
        requests.total() <= 12 * each,
        "{}\n{lines}",
        requests.total()
    );

    // At the interval nothing is asked for where nothing has changed.
    let before = fleet.runs().await;
    wait::until("two intervals", PATIENCE, None, async || {
        let runs = fleet.runs().await - before;
        let enough = runs >= 2.0 * COUNT as f64;
        enough.then_some(()).ok_or_else(|| format!("{runs} runs"))
    })
    .await
    .unwrap();
    let requests = asked.so_far().await;
    assert_eq!(requests.total(), 0, "{}", requests.lines().join("\n"));

    fleet.set_interval("1h").await.unwrap();
    asked.so_far().await;
    fleet.request_all().await.unwrap();
    let requests = asked.so_far().await;
    let lines = requests.lines().join("\n");
    let events = count(&requests, |_, kind| kind == "events");
    assert!(
        events <= each && requests.total() - events <= 2 * each,
        "{lines}"
    );

    // A push that changes what one of them applies: it applies that, the others show the revision.
    fleet.commit(1).unwrap();
    fleet.fetch().await.unwrap();
    fleet.all_show().await.unwrap();
    let requests = asked.so_far().await;
    let lines = requests.lines().join("\n");
    assert_eq!(count(&requests, |_, kind| is_applied(kind)), 1, "{lines}");
    assert!(
        count(&requests, |_, kind| kind.starts_with("kustomizations")) <= each + 2,
        "{lines}"
    );

    fleet.restart().await.unwrap();
    fleet.all_verified().await.unwrap();
    let requests = asked.so_far().await;
    let writes = count(&requests, |verb, _| !["get", "list"].contains(&verb));
    assert_eq!(writes, 0, "{}", requests.lines().join("\n"));
    env.stop().await;
}
