//! Where an attempt has its application from: one for all, or one of its own,
//! which ends with it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use crate::context::Context;
use crate::task_error::Result;

type Making<App> = Pin<Box<dyn Future<Output = Result<App>> + Send>>;
type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What gives each attempt its application.
pub(super) enum Source<App> {
    /// The same for all.
    Shared(Arc<App>),
    /// A new one for each.
    Scoped(Arc<Scope<App>>),
}

/// How an application is made for an attempt, and what is done with it afterwards.
pub(super) struct Scope<App> {
    make: Box<dyn Fn(Context) -> Making<App> + Send + Sync>,
    close: Option<Box<dyn Fn(App) -> Closing + Send + Sync>>,
}

impl<App> Scope<App> {
    pub(super) fn new<F, M>(make: F) -> Self
    where
        F: Fn(Context) -> M + Send + Sync + 'static,
        M: Future<Output = Result<App>> + Send + 'static,
    {
        Self {
            make: Box::new(move |cx| Box::pin(make(cx))),
            close: None,
        }
    }

    pub(super) fn closed_by<F, C>(mut self, close: F) -> Self
    where
        F: Fn(App) -> C + Send + Sync + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        self.close = Some(Box::new(move |app| Box::pin(close(app))));
        self
    }
}

impl<App: Send + Sync + 'static> Source<App> {
    /// For one attempt.
    pub(super) fn hold(&self) -> Held<App> {
        match self {
            Self::Shared(app) => Held::Shared(Arc::clone(app)),
            Self::Scoped(scope) => Held::Own(Arc::new(Own {
                scope: Arc::clone(scope),
                app: OnceLock::new(),
            })),
        }
    }
}

/// The application in the hands of one attempt. Its own ends with the last clone.
pub(super) enum Held<App> {
    Shared(Arc<App>),
    Own(Arc<Own<App>>),
}

pub(super) struct Own<App> {
    scope: Arc<Scope<App>>,
    app: OnceLock<App>,
}

impl<App: Send + Sync + 'static> Held<App> {
    /// Makes the application if it has to be made. What goes wrong in that is
    /// the attempt's failure.
    pub(super) async fn ready(&self, cx: &Context) -> Result<()> {
        let Self::Own(own) = self else { return Ok(()) };
        match (own.scope.make)(cx.clone()).await {
            Ok(app) => {
                // Nobody else has put one there: an attempt gets ready once.
                let _ = own.app.set(app);
                Ok(())
            }
            Err(error) => Err(error.context("cannot make the application of this attempt")),
        }
    }

    /// The application.
    pub(super) fn app(&self) -> &App {
        match self {
            Self::Shared(app) => app,
            Self::Own(own) => own.app.get().expect("`ready` has made it"),
        }
    }

    /// What is to be done with it once nobody else holds it any more.
    pub(super) fn closing(&self) -> Option<Close> {
        let Self::Own(own) = self else { return None };
        own.scope.close.as_ref()?;
        let own = Arc::clone(own);
        Some(Box::new(move || {
            let own = Arc::into_inner(own)?;
            let app = own.app.into_inner()?;
            Some(own.scope.close.as_ref()?(app))
        }))
    }
}

impl<App> Clone for Held<App> {
    fn clone(&self) -> Self {
        match self {
            Self::Shared(app) => Self::Shared(Arc::clone(app)),
            Self::Own(own) => Self::Own(Arc::clone(own)),
        }
    }
}

/// Ends an application that was made for an attempt, if it was.
pub(super) type Close = Box<dyn FnOnce() -> Option<Closing> + Send>;
