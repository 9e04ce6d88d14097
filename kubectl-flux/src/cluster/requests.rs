//! What `-v=6` shows: every request and how long its answer took, as kubectl does.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response};
use tower::{Layer, Service};

use crate::output;

/// The level from which on requests are shown.
const LEVEL: u8 = 6;

/// Puts [`Shown`] around a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    is_on: bool,
}

impl Show {
    /// Shows requests if the level of verbosity asks for it.
    pub(super) fn at(level: u8) -> Self {
        Self {
            is_on: level >= LEVEL,
        }
    }
}

impl<S> Layer<S> for Show {
    type Service = Shown<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let is_on = self.is_on;
        Shown { inner, is_on }
    }
}

/// A service whose requests are shown.
#[derive(Clone, Debug)]
pub(super) struct Shown<S> {
    inner: S,
    is_on: bool,
}

impl<S, A, B> Service<Request<A>> for Shown<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Display,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let what = self
            .is_on
            .then(|| format!("{} {}", request.method(), request.uri()));
        let start = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Some(what) = what {
                let outcome = match &answer {
                    Ok(answer) => answer.status().to_string(),
                    Err(error) => error.to_string(),
                };
                let milliseconds = start.elapsed().as_millis();
                output::note(format!("{what} {outcome} in {milliseconds} milliseconds"));
            }
            answer
        })
    }
}
