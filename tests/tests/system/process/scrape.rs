//! What a scrape of the metrics shows, as dashboards for Flux read it.

use std::collections::BTreeMap;

use super::cluster::Operator;

/// A series of a queue.
fn queue(metric: &str, controller: &str) -> String {
    format!(r#"workqueue_{metric}{{name="{controller}",controller="{controller}"}}"#)
}

fn depth(controller: &str) -> String {
    format!(r#"workqueue_depth{{name="{controller}",controller="{controller}",priority="0"}}"#)
}

/// Waits until both have had their first turn: what comes before it is part of it.
pub(super) async fn first_turns(fetches: &Operator, applies: &Operator) {
    for (operator, controller) in [(fetches, "gitrepository"), (applies, "kustomization")] {
        operator
            .scraped(&format!("the first turn of a {controller}"), |now| {
                // Before a controller begins there are no series of it.
                let of = |series| now.get(&series).copied();
                let added = of(queue("adds_total", controller)) >= Some(1.0);
                added && of(depth(controller)) == Some(0.0)
            })
            .await;
    }
}

/// One operator has fetched, another has applied, and a third stands by.
pub(super) async fn queues_are_seen_at_work(
    fetches: &Operator,
    applies: &Operator,
    standby: &Operator,
) {
    for (operator, controller) in [(fetches, "gitrepository"), (applies, "kustomization")] {
        let now = operator
            .scraped(&format!("{controller} at rest"), |now| {
                now[&queue("unfinished_work_seconds", controller)] == 0.0
                    && now[&depth(controller)] == 0.0
            })
            .await;
        assert_eq!(
            now[&queue("longest_running_processor_seconds", controller)],
            0.0
        );
        // When it appeared, and when something was pushed.
        let adds = now[&queue("adds_total", controller)];
        assert!((2.0..100.0).contains(&adds), "{controller}: {adds}");
        for histogram in ["queue_duration_seconds", "work_duration_seconds"] {
            let of = |part| now[&queue(&format!("{histogram}_{part}"), controller)];
            assert_eq!(of("count"), adds, "{controller}: {histogram}");
            assert!((1e-7..100.0).contains(&of("sum")), "{}", of("sum"));
        }
        // The interval.
        assert!(now[&queue("retries_total", controller)] >= 1.0);
        let reconciles = format!(
            r#"controller_runtime_reconcile_total{{controller="{controller}",result="success"}}"#
        );
        assert!(now[&reconciles] >= 1.0, "{controller}");
        assert!(requests(&now) >= 1.0, "{controller}");
    }
    let now = standby.scraped("an answer", |_| true).await;
    assert_eq!(now[&depth("kustomization")], 0.0, "a queue of the leader");
    assert_eq!(now[&queue("adds_total", "kustomization")], 0.0);
}

/// Answered reads of the API server, whose address is a label.
fn requests(now: &BTreeMap<String, f64>) -> f64 {
    let (start, end) = (
        r#"rest_client_requests_total{code="200",host="127.0.0.1:"#,
        r#"",method="GET"}"#,
    );
    now.iter()
        .filter(|(series, _)| series.starts_with(start) && series.ends_with(end))
        .map(|(_, value)| value)
        .sum()
}
